// What flannel's rules say, in the form of iptables' rules; rules of nftables say the same things (nftables.ts).
//
// The forms of the two kinds differ, as flannel's do, whose own tests hold both fast. With iptables, strangers who come to this host's containers keep
// their addresses (4), and what this host itself sends into the pod network gets the address that the containers know it by (last). With nftables, 4 is
// about everything else in the pod network, so that the last rule never matches: what the host sends keeps the address it has.

import type { Rule } from "../../firewall/iptables/rule.ts";
import { type Family, RANDOM_FULLY, type TargetExtension } from "../../firewall/iptables/xtables.ts";
import { isIPv4, type Prefix } from "../../ip/address.ts";
import type { Block } from "./chain-block.ts";
import type { FamilyTraffic, TrafficConf } from "./settings.ts";

/** What kube-proxy has decided to masquerade: it marks it so, and does that itself. */
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
  const family = familyOf(traffic.network);
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
  const family = familyOf(network);
  const masquerade: TargetExtension = { name: "MASQUERADE", ...(randomFully && { flags: RANDOM_FULLY }) };
  return [
    { source: subnet, destination: network, target: "RETURN" },
    { source: network, destination: subnet, target: "RETURN" },
    { ...FORMS[kind].strangers(traffic), target: "RETURN" },
    ...noMasquerade
      .filter((destination) => familyOf(destination) === family)
      .map((destination): Rule => ({ source: network, destination, target: "RETURN" })),
    { source: network, destination: { not: MULTICAST[family] }, target: masquerade },
    { source: { not: network }, destination: network, target: masquerade },
  ];
}

const MULTICAST: Readonly<Record<Family, Prefix>> = {
  ip: { address: Uint8Array.of(224, 0, 0, 0), length: 4 },
  ip6: { address: Uint8Array.of(0xff, ...new Array(15).fill(0)), length: 8 },
};

export function forwardBlock(conf: TrafficConf, { network }: FamilyTraffic): Block {
  const family = familyOf(network);
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

/** Whose rules this daemon has made, now or earlier. */
export const networksOf = ({ families, earlierNetworks }: TrafficConf, family: Family): Prefix[] =>
  [...families.map(({ network }) => network), ...earlierNetworks].filter((network) => familyOf(network) === family);

/** As the firewall names it. */
export const familyOf = ({ address }: Prefix): Family => (isIPv4(address) ? "ip" : "ip6");
