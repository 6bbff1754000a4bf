// Masquerade in the form of iptables: a chain for each container and network, to which POSTROUTING jumps for the container's addresses.
//
//   -A POSTROUTING -s 10.22.0.5/32 -m comment --comment "name: \"podnet\" id: \"3f2a\"" -j CNI-2bbe0c48b91a7d1b8a6753a8
//   -A CNI-2bbe0c48b91a7d1b8a6753a8 -d 10.22.0.0/16 … -j ACCEPT
//   -A CNI-2bbe0c48b91a7d1b8a6753a8 ! -d 224.0.0.0/4 … -j MASQUERADE
//
// Source: containernetworking/plugins, pkg/ip/ipmasq_iptables_linux.go, whose rules these are. Only their order differs: with several addresses all ACCEPTs
// come first, else a packet to the second address's network would meet the first address's MASQUERADE before.
import { formatPrefix, isIPv4, networkOf, type Prefix, parsePrefix } from "../../ip/address.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { Family } from "../iptables/extension.ts";
import { commentOf, type Meaning, targetOf } from "../iptables/meaning.ts";
import { deleteRules } from "../iptables/netlink.ts";
import type { Chain, Rule } from "../iptables/rule.ts";
import type { Change, FoundRule, View, Wanted } from "../iptables/ruleset.ts";
import { editLegacy, FAMILIES } from "../iptables.ts";
import { chainName, containerIdOf, type Owner, ruleComment } from "../names.ts";

type Container = Omit<Owner, "ifName">;

const MULTICAST: Readonly<Record<Family, Prefix>> = {
  ip: { address: Uint8Array.of(224, 0, 0, 0), length: 4 },
  ip6: { address: Uint8Array.of(0xff, ...new Array(15).fill(0)), length: 8 },
};

const postrouting = (family: Family): Chain => ({ family, table: "nat", chain: "POSTROUTING" });
const familyOf = ({ address }: Prefix): Family => (isIPv4(address) ? "ip" : "ip6");

export function masqueradeRules(container: Container, addresses: readonly Prefix[]): Wanted[] {
  const chain = chainName(container);
  const matches: Rule["matches"] = [{ name: "comment", text: ruleComment(container) }];
  return FAMILIES.flatMap((family): Wanted[] => {
    const own = addresses.filter((address) => familyOf(address) === family);
    if (own.length === 0) return [];
    const accept = networksOf(own).map((destination): Rule => ({ destination, matches, target: "ACCEPT" }));
    const masquerade: Rule = { destination: { not: MULTICAST[family] }, matches, target: { name: "MASQUERADE" } };
    const jumps = own.map(({ address }): Rule => {
      return { source: { address, length: 8 * address.length }, matches, target: { jump: chain } };
    });
    return [
      { family, table: "nat", chain, rules: accept, at: "first" },
      { family, table: "nat", chain, rules: [masquerade] },
      { ...postrouting(family), rules: jumps },
    ];
  });
}

/** Each network once. */
function networksOf(addresses: readonly Prefix[]): Prefix[] {
  if (addresses.length === 1) return [networkOf(addresses[0] as Prefix)];
  return [...new Map(addresses.map(networkOf).map((network) => [formatPrefix(network), network])).values()];
}

/** Deletes the container's rules from both worlds. Without addresses all of them, else as far as no other attachment of the container needs them. */
export function removeRules(netfilter: Connection, container: Container, addresses: readonly Prefix[]): void {
  const name = chainName(container);
  const chains = FAMILIES.map((family): Chain => ({ family, table: "nat", chain: name }));
  const remaining = (view: View, chains: readonly Chain[]) => {
    const there = view.present(chains);
    return chains.filter((_, i) => there[i]).flatMap((chain) => leftBehind(view, chain, addresses));
  };
  deleteRules(netfilter, (view) => remaining(view, chains));
  editLegacy("nat", (view, family) =>
    remaining(
      view,
      chains.filter((chain) => chain.family === family),
    ),
  );
}

/** What to delete of a chain that exists, and of the jumps to it. */
function leftBehind(view: View, chain: Chain, addresses: readonly Prefix[]): Change[] {
  const jumps = view.jumps(postrouting(chain.family), chain.chain);
  const others = addresses.length === 0 ? [] : jumps.filter(({ meaning }) => !comesFrom(meaning, addresses));
  if (others.length === 0) return [...jumps.map(deletion), { drop: chain }];
  const own = jumps.filter((jump) => !others.includes(jump));
  return [...own, ...unusedAccepts(view, chain, addresses, others)].map(deletion);
}

const deletion = (rule: FoundRule): Change => ({ delete: rule });

/** Also in the form of old releases of the reference plugins, which gave the whole network as the source. */
function comesFrom(meaning: Meaning | undefined, addresses: readonly Prefix[]): boolean {
  return addresses.some((prefix) => {
    const whole = { address: prefix.address, length: 8 * prefix.address.length };
    return meaning?.includes(`-s ${formatPrefix(whole)}`) || meaning?.includes(`-s ${formatPrefix(networkOf(prefix))}`);
  });
}

/** The ACCEPTs of networks that none of the other sources is in. */
function unusedAccepts(view: View, chain: Chain, own: readonly Prefix[], others: readonly FoundRule[]): FoundRule[] {
  const sources = others.flatMap(({ meaning }) => meaning?.filter((part) => part.startsWith("-s ")) ?? []);
  const networks = own
    .map(networkOf)
    .filter((network) => !sources.some((source) => isWithin(source.slice("-s ".length), network)));
  const words = new Set(networks.map((network) => `-d ${formatPrefix(network)}`));
  return view
    .rules(chain)
    .filter(({ meaning }) => meaning?.includes("-j ACCEPT") && meaning.some((part) => words.has(part)));
}

function isWithin(source: string, network: Prefix): boolean {
  const parsed = parsePrefix(source);
  return (
    parsed !== undefined && formatPrefix(networkOf({ ...parsed, length: network.length })) === formatPrefix(network)
  );
}

/** Deletes the rules and chains of the network's containers that are not among the valid ones. */
export function collectRules(netfilter: Connection, network: string, isValid: (containerId: string) => boolean): void {
  deleteRules(netfilter, (view) => FAMILIES.flatMap((family) => stale(view, family, network, isValid)));
  editLegacy("nat", (view, family) => stale(view, family, network, isValid));
}

function stale(view: View, family: Family, network: string, isValid: (containerId: string) => boolean): Change[] {
  const text = ruleComment({ network, containerId: "" }).slice(0, -1);
  const isStale = ({ meaning }: FoundRule) => {
    const containerId = containerIdOf(commentOf(meaning) ?? "", network);
    return containerId !== undefined && !isValid(containerId) && PRIVATE.test(targetOf(meaning ?? []) ?? "");
  };
  const jumps = view.rules(postrouting(family), text).filter(isStale);
  const chains = view.chains({ family, table: "nat" }).filter((name) => PRIVATE.test(name));
  const jumpedTo = new Set(jumps.map(({ meaning }) => targetOf(meaning ?? [])));
  return [
    ...jumps.map(deletion),
    ...chains
      .map((chain): Chain => ({ family, table: "nat", chain }))
      .filter((chain) => jumpedTo.has(chain.chain) || isStaleChain(view, chain, network, text, isValid))
      .map((drop): Change => ({ drop })),
  ];
}

/** What the masquerade's chains are called; other plugins' have a word behind the dash. */
const PRIVATE = /^CNI-[0-9a-f]{24}$/;

/** Left without a jump: its own rules tell whose it was. */
function isStaleChain(
  view: View,
  chain: Chain,
  network: string,
  text: string,
  isValid: (containerId: string) => boolean,
): boolean {
  const [rule] = view.rules(chain, text);
  const containerId = containerIdOf(commentOf(rule?.meaning) ?? "", network);
  return containerId !== undefined && !isValid(containerId);
}
