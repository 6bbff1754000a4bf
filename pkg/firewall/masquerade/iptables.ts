// Masquerade through iptables: one chain for each container and network, to which POSTROUTING jumps for the container's addresses.
//
//   -A POSTROUTING -s 10.22.0.5/32 -m comment --comment "name: \"podnet\" id: \"3f2a\"" -j CNI-2bbe0c48b91a7d1b8a6753a8
//   -A CNI-2bbe0c48b91a7d1b8a6753a8 -d 10.22.0.0/16 … -j ACCEPT
//   -A CNI-2bbe0c48b91a7d1b8a6753a8 ! -d 224.0.0.0/4 … -j MASQUERADE
//   -A CNI-2bbe0c48b91a7d1b8a6753a8 -s 10.22.0.5/32 -m comment --comment "name: \"podnet\" id: \"3f2a\" if: \"eth0\"" -j RETURN
//
// Source: containernetworking/plugins, pkg/ip/ipmasq_iptables_linux.go, which makes all of these rules but the last
// (../iptables/address-owner.ts). The order differs too: with several addresses all ACCEPTs come first, else a packet to the second
// address's network would reach the first address's MASQUERADE before its ACCEPT.

import type { AttachmentId } from "../../cni/attachment-id.ts";
import type { NamedStep } from "../../cni/best-effort-del.ts";
import { contains, formatPrefix, networkOf, type Prefix, parseAddress, parsePrefix } from "../../ip/address.ts";
import type { Connection } from "../../netlink/connection.ts";
import { FAMILIES, type Family, familyOf, MULTICAST } from "../family.ts";
import {
  departureOf,
  goes,
  ownerRule,
  ownerRulesIn,
  type Removal,
  sourceOf,
  staleOf,
} from "../iptables/address-owner.ts";
import { commentOf, targetOf } from "../iptables/canonical.ts";
import { deletionSteps, editTables } from "../iptables/host.ts";
import type { Chain, Rule } from "../iptables/rule.ts";
import { type Change, type FoundRule, missing, type View, type Wanted } from "../iptables/ruleset.ts";
import { chainName, containerIdOf, ruleComment } from "../upstream-names.ts";

const postrouting = (family: Family): Chain => ({ family, table: "nat", chain: "POSTROUTING" });

export function masqueradeRules(owner: AttachmentId, addresses: readonly Prefix[]): Wanted[] {
  const chain = chainName(owner);
  const matches: Rule["matches"] = [{ name: "comment", text: ruleComment(owner) }];
  return FAMILIES.flatMap((family): Wanted[] => {
    const own = addresses.filter(({ address }) => familyOf(address) === family);
    if (own.length === 0) return [];
    const accept = networksOf(own).map((destination): Rule => ({ destination, matches, target: "ACCEPT" }));
    const masquerade: Rule = { destination: { not: MULTICAST[family] }, matches, target: { name: "MASQUERADE" } };
    const jumps = own.map(({ address }): Rule => {
      return { source: { address, length: 8 * address.length }, matches, target: { jump: chain } };
    });
    return [
      { family, table: "nat", chain, rules: accept, at: "first" },
      { family, table: "nat", chain, rules: [masquerade, ...own.map(({ address }) => ownerRule(owner, address))] },
      { ...postrouting(family), rules: jumps },
    ];
  });
}

/** Adds the rules that are missing. */
export function restoreRules(netfilter: () => Connection, owner: AttachmentId, addresses: readonly Prefix[]): void {
  const wanted = masqueradeRules(owner, addresses);
  const tables = FAMILIES.map((family) => ({ family, table: "nat" as const }));
  editTables(netfilter, tables, (view, { family }) =>
    missing(
      view,
      wanted.filter((want) => want.family === family),
    ),
  );
}

/** Returns the networks of the addresses, each once. */
function networksOf(addresses: readonly Prefix[]): Prefix[] {
  if (addresses.length === 1) return [networkOf(addresses[0] as Prefix)];
  return [...new Map(addresses.map(networkOf).map((network) => [formatPrefix(network), network])).values()];
}

/** Returns the steps that delete the attachment's rules from both variants. @param addresses The addresses in its result, see `departureOf` */
export function removalSteps(
  netfilter: Connection,
  owner: AttachmentId,
  addresses: readonly Prefix[],
): readonly NamedStep[] {
  const departure = ofContainer(ruleComment(owner), departureOf(owner, addresses));
  const chain = chainName(owner);
  return deletionSteps(netfilter, "nat", (view, families) => {
    const chains = families.map((family): Chain => ({ family, table: "nat", chain }));
    const there = view.present(chains);
    return chains.filter((_, i) => there[i]).flatMap((chain) => leaving(view, chain, departure));
  });
}

/** Restricts the removal to one container's rules: other containers may share the chain. */
const ofContainer = (text: string, departure: Removal): Removal => ({
  ...departure,
  isGoneUnowned: (source, owners, comment) => comment === text && departure.isGoneUnowned(source, owners, comment),
});

/** Returns the deletions in a chain that exists, and of the jumps to it. */
function leaving(view: View, chain: Chain, departure: Removal): Change[] {
  const jumps = view.jumps(postrouting(chain.family), chain.chain);
  const owners = ownerRulesIn(view, chain);
  const isGone = (jump: FoundRule) => goes(sourceOf(jump), owners, departure, textOf(jump));
  const staying = jumps.filter((jump) => !isGone(jump));
  const stayingOwners = owners.filter(({ comment }) => !departure.isGone(comment));
  if (staying.length + stayingOwners.length === 0) {
    const isBare = jumps.length + owners.length === 0;
    return isBare && isLeftBySomebodyElse(view, chain, departure) ? [] : [...jumps.map(deletion), { drop: chain }];
  }
  const gone = jumps.filter((jump) => !staying.includes(jump));
  return [
    ...gone,
    ...owners.filter((one) => !stayingOwners.includes(one)).map(({ rule }) => rule),
    ...unused(view, chain, new Set(gone.map(textOf)), staying),
  ].map(deletion);
}

/** Reports whether a chain that nothing jumps to was left by another attachment, which the comments of its rules tell. */
const isLeftBySomebodyElse = (view: View, chain: Chain, departure: Removal): boolean =>
  view.rules(chain, `name: "`).some((rule) => !departure.isGoneUnowned("", [], textOf(rule)));

const textOf = ({ canonicalForm }: FoundRule): string => commentOf(canonicalForm) ?? "";

const deletion = (rule: FoundRule): Change => ({ delete: rule });

/**
 * Returns the rules of these containers that no remaining jump needs: the ACCEPT of a network in which no address is left, the MASQUERADE
 * of a container without addresses.
 */
function unused(view: View, chain: Chain, texts: ReadonlySet<string>, staying: readonly FoundRule[]): FoundRule[] {
  return view.rules(chain).filter((rule) => {
    const text = textOf(rule);
    if (!texts.has(text)) return false;
    const sources = staying.filter((jump) => textOf(jump) === text).map(sourceOf);
    const network = parsePrefix(rule.canonicalForm?.find((part) => part.startsWith("-d "))?.slice("-d ".length) ?? "");
    return rule.canonicalForm?.includes("-j ACCEPT") && network !== undefined
      ? !sources.some((source) => isWithin(source, network))
      : sources.length === 0;
  });
}

/** Reports whether the source, "10.22.0.5" or "10.22.0.0/16", is in the network. */
function isWithin(source: string, network: Prefix): boolean {
  const address = parsePrefix(source)?.address ?? parseAddress(source);
  return address !== undefined && contains(network, address);
}

/** Returns the steps that delete the rules and chains of the network's attachments that are not among the valid ones. */
export function collectionSteps(
  netfilter: Connection,
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
): readonly NamedStep[] {
  const containers = new Set(valid.map(({ containerId }) => containerId));
  const departure = staleOf(network, valid, (_source, _owners, text) => {
    const containerId = containerIdOf(text, network);
    return containerId !== undefined && !containers.has(containerId);
  });
  return deletionSteps(netfilter, "nat", (view, families) =>
    families.flatMap((family) => stale(view, family, network, departure)),
  );
}

function stale(view: View, family: Family, network: string, departure: Removal): Change[] {
  const text = ruleComment({ network, containerId: "" }).slice(0, -1);
  const jumps = view.rules(postrouting(family), text);
  const jumpedTo = new Set(jumps.map(({ canonicalForm }) => targetOf(canonicalForm ?? [])));
  return view
    .chains({ family, table: "nat" })
    .filter((name) => PRIVATE.test(name))
    .map((chain): Chain => ({ family, table: "nat", chain }))
    .filter((chain) => jumpedTo.has(chain.chain) || view.rules(chain, text).length > 0)
    .flatMap((chain) => leaving(view, chain, departure));
}

/** Matches the names of the masquerade's chains; those of other plugins have a word behind the dash. */
const PRIVATE = /^CNI-[0-9a-f]{24}$/;
