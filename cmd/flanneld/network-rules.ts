/** Starts the rules of the pod network, as configured. */

import { familiesOf } from "../../pkg/cluster/lease/network-config.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import { startBlackholeLoop } from "../../pkg/flannel/rules/blackhole-route.ts";
import { createTraffic } from "../../pkg/flannel/rules/rules.ts";
import { startRulesLoop } from "../../pkg/flannel/rules/rules-loop.ts";
import type { FamilyTraffic } from "../../pkg/flannel/rules/settings.ts";
import { connect, NETLINK_NETFILTER } from "../../pkg/netlink/connection.ts";
import type { JoinedNetwork } from "./join.ts";
import type { Metrics } from "./metrics.ts";
import type { Options } from "./options/options.ts";

/**
 * Makes the rules before it returns, and keeps them correct from then on; they stay when the daemon ends.
 *
 * @returns stops reconciling
 * @throws CniError the kernel, or legacy iptables, refuses
 */
export function startRules(
  { rules }: Options,
  place: JoinedNetwork,
  { log, metrics }: { log: Log; metrics: Metrics },
): () => Promise<unknown> {
  const { network, rtnl, earlier } = place;
  const families = familiesIn(place);
  const netfilter = connect(NETLINK_NETFILTER);
  const traffic = createTraffic(() => netfilter, {
    kind: network.nftables ? "nftables" : "iptables",
    families,
    earlierNetworks: [earlier.ipv4.network, earlier.ipv6.network].filter((one) => one !== undefined),
    masquerade: rules.masquerade,
    forward: rules.forward,
    randomFully: rules.randomFully,
    noMasquerade: network.noMasquerade,
  });
  const resyncMs = rules.resyncSeconds * 1000;
  traffic.ensure(); // first, so that a change of kind leaves no moment without rules
  traffic.clean();
  const loops = [
    startRulesLoop(traffic, { resyncMs, log, repaired: metrics.repairedRules, passed: metrics.reconciled("rules") }),
  ];
  const subnets = families.map(({ subnet }) => subnet);
  if (rules.blackholeRoute)
    loops.push(startBlackholeLoop(rtnl, subnets, { resyncMs, log, passed: metrics.reconciled("blackhole") }));
  return () => Promise.all(loops.map((loop) => loop.stop()));
}

const familiesIn = ({ network, lease }: JoinedNetwork): FamilyTraffic[] =>
  familiesOf(network).flatMap(({ family, network }) => {
    const subnet = lease[family];
    return subnet ? [{ network, subnet }] : [];
  });
