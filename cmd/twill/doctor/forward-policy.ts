/**
 * forward-policy: a chain at the forward hook drops what no rule accepts, and no rule of its table knows the network's bridge or subnet. What
 * rules accept by other conditions is not evaluated; legacy iptables is not looked at.
 */
import { findRules, listChains } from "../../../pkg/firewall/nftables/ruleset.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../../../pkg/netlink/connection.ts";
import { NF_INET_FORWARD } from "../../../pkg/netlink/nftables/chain.ts";
import { NF_DROP } from "../../../pkg/netlink/nftables/data.ts";
import type { Network } from "../../cnitool/lint/lint-file.ts";
import { bridgesOf, isRouted, subnetsOf, subnetTextOf } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";

const families = { inet: 1, ip: 2 } as const;

export const forwardPolicy: Check = {
  id: "forward-policy",
  about: "firewalls that drop what containers send through the host",
  severity: "warning",
  find({ networks }) {
    const exposed = networks.filter((network) => isRouted(network) && !opensForwarding(network));
    if (exposed.length === 0) return [];
    const netfilter = connect(NETLINK_NETFILTER);
    return Object.entries(families).flatMap(([name, family]) =>
      droppingChains(netfilter, family).flatMap(({ table, chain }) =>
        exposed
          .filter((network) => !isKnown(network, netfilter, family, table))
          .map((network) => observationOf(network, `${name} ${table} ${chain}`)),
      ),
    );
  },
};

/** flanneld accepts its network by rules of its own. */
const opensForwarding = ({ plugins }: Network): boolean =>
  plugins.some(({ type }) => type === "firewall" || type === "flannel");

function droppingChains(netfilter: Connection, family: number): { table: string; chain: string }[] {
  return listChains(netfilter, family)
    .filter(({ type, hook, policy }) => type === "filter" && hook?.number === NF_INET_FORWARD && policy === NF_DROP)
    .map(({ table = "", name = "" }) => ({ table, chain: name }));
}

/** Whether a rule of the table has the name of the bridge or the bytes of the subnet in it. */
function isKnown(network: Network, netfilter: Connection, family: number, table: string): boolean {
  const bridges = bridgesOf(network);
  const subnets = subnetsOf(network).map(({ address }) => address);
  return findRules(netfilter, { family, table }).some(
    (rule) =>
      bridges.some((bridge) => contains(rule, asciiOf(bridge))) ||
      subnets.some((address) => contains(rule, withoutZeros(address))),
  );
}

const asciiOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** A rule for a prefix may hold its bytes alone. */
function withoutZeros(address: Uint8Array): Uint8Array {
  let length = address.length;
  while (length > 2 && address[length - 1] === 0) length--;
  return address.subarray(0, length);
}

function contains(bytes: Uint8Array, part: Uint8Array): boolean {
  for (let at = bytes.indexOf(part[0] ?? 0); at >= 0; at = bytes.indexOf(part[0] ?? 0, at + 1))
    if (part.every((byte, i) => bytes[at + i] === byte)) return true;
  return false;
}

const observationOf = (network: Network, chain: string): Observation => ({
  text: `chain ${chain} drops what it does not know, and no rule of its table knows network "${network.name}"`,
  evidence: [`${network.file}: ${subnetTextOf(network)}, and no plugin "firewall" in its list`],
  remedy: `add {"type": "firewall"} to the plugins of the network, and create its containers again; or accept its traffic in chain ${chain}`,
});
