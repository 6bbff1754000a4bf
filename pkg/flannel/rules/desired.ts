// Defines flannel's rules in the form of iptables rules; nftables.ts makes them with nftables.
//
// The rules of the two kinds differ as flannel's do; flannel's own tests fix both. With iptables, rule 4 exempts traffic from outside the
// pod network to this host's containers, and the last rule masquerades what this host itself sends into the pod network. With nftables,
// rule 4 exempts all traffic into the pod network from outside this host's subnet, so that the last rule never matches: what the host sends
// keeps its address.

import { type Family, familyOf, MULTICAST } from "../../firewall/family.ts";
import type { Rule } from "../../firewall/iptables/rule.ts";
import { RANDOM_FULLY, type TargetExtension } from "../../firewall/iptables/xtables.ts";
import type { Prefix } from "../../ip/address.ts";
import type { Block } from "./chain-block.ts";
import type { FamilyTraffic, TrafficConf } from "./settings.ts";

/** The mark of packets that kube-proxy masquerades itself. */
const KUBE_PROXY_MARK = 0x4000;
const WHOLE_MARK = 0xffffffff;

const FORMS = {
  iptables: {
    markMask: KUBE_PROXY_MARK,
    strangers: ({ network, subnet }: FamilyTraffic) => ({ source: { not: network }, destination: subnet }),
  },
  nftables: {
    markMask: WHOLE_MARK,
    strangers: ({ network, subnet }: FamilyTraffic) => ({ source: { not: subnet }, destination: network }),
  },
} as const;

export function masqueradeBlock(conf: TrafficConf, traffic: FamilyTraffic): Block {
  const family = familyOf(traffic.network.address);
  return {
    family,
    shared: [markRule(conf)],
    own: masqueradeRules(conf, traffic),
    networks: networksOf(conf, family),
  };
}

export const markRule = ({ kind }: TrafficConf): Rule => ({
  matches: [{ name: "mark", value: KUBE_PROXY_MARK, mask: FORMS[kind].markMask }],
  target: "RETURN",
});

function masqueradeRules({ kind, randomFully, noMasquerade }: TrafficConf, traffic: FamilyTraffic): Rule[] {
  const { network, subnet } = traffic;
  const family = familyOf(network.address);
  const masquerade: TargetExtension = { name: "MASQUERADE", ...(randomFully && { flags: RANDOM_FULLY }) };
  return [
    { source: subnet, destination: network, target: "RETURN" },
    { source: network, destination: subnet, target: "RETURN" },
    { ...FORMS[kind].strangers(traffic), target: "RETURN" },
    ...noMasquerade
      .filter((destination) => familyOf(destination.address) === family)
      .map((destination): Rule => ({ source: network, destination, target: "RETURN" })),
    { source: network, destination: { not: MULTICAST[family] }, target: masquerade },
    { source: { not: network }, destination: network, target: masquerade },
  ];
}

export function forwardBlock(conf: TrafficConf, { network }: FamilyTraffic): Block {
  const family = familyOf(network.address);
  return {
    family,
    shared: [],
    own: [
      { source: network, target: "ACCEPT" },
      { destination: network, target: "ACCEPT" },
    ],
    networks: networksOf(conf, family),
  };
}

/** Returns the networks whose rules are this daemon's, of this run or earlier ones. */
export const networksOf = ({ families, earlierNetworks }: TrafficConf, family: Family): Prefix[] =>
  [...families.map(({ network }) => network), ...earlierNetworks].filter(
    (network) => familyOf(network.address) === family,
  );
