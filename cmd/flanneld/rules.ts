/** The rules that go with the pod network, as the settings want them. */
import { connect, NETLINK_NETFILTER } from "../../pkg/netlink/connection.ts";
import type { Log } from "../../pkg/observe/log.ts";
import { familiesOf } from "../../pkg/subnet/network-config.ts";
import { keepBlackhole } from "../../pkg/traffic/blackhole.ts";
import { keepTraffic } from "../../pkg/traffic/keep.ts";
import { createTraffic, type FamilyTraffic } from "../../pkg/traffic/traffic.ts";
import type { Metrics } from "./metrics.ts";
import type { Options } from "./options.ts";
import type { Place } from "./place.ts";

/**
 * Makes them before it returns, and keeps them right from then on; when the daemon ends they stay.
 *
 * @returns ends keeping
 * @throws CniError the kernel, or legacy iptables, refuses
 */
export function keepRules(
  { rules }: Options,
  place: Place,
  { log, metrics }: { log: Log; metrics: Metrics },
): () => void {
  const { network, route, earlier } = place;
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
  traffic.ensure(); // first: a change of kind has no moment without rules
  traffic.clean();
  const ends = [keepTraffic(traffic, { resyncMs, log, repaired: metrics.repairedRules })];
  const subnets = families.map(({ subnet }) => subnet);
  if (rules.blackholeRoute) ends.push(keepBlackhole(route, subnets, { periodMs: resyncMs, log }));
  return () => {
    for (const end of ends) end();
  };
}

const familiesIn = ({ network, lease }: Place): FamilyTraffic[] =>
  familiesOf(network).flatMap(({ family, network }) => {
    const subnet = lease[family];
    return subnet ? [{ network, subnet }] : [];
  });
