import { formatAddress, isIPv4 } from "../../../pkg/ip/address.ts";
import { openRtnetlink } from "../../../pkg/link/link.ts";
import { leadsThrough, lookupRoute } from "../../../pkg/link/route.ts";
import { nameOf } from "../../../pkg/runtime/result-cache.ts";
import { bridgesOf, isRouted } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";
import type { NodeView } from "./node-view.ts";
import { addressesIn } from "./traffic-sample.ts";

const STRICT = 1;

export const rpFilter: Check = {
  id: "rp-filter",
  about: "rp_filter: whether the host drops packets of containers since its route to them leads elsewhere",
  severity: "error",
  find: (node) =>
    node.networks.filter(isRouted).flatMap((network): Observation[] => {
      const [bridge] = bridgesOf(network);
      const link = node.links.find(({ name }) => name === bridge);
      if (link === undefined || effectiveFilter(link.name, node) !== STRICT) return [];
      const rtnl = openRtnetlink();
      const lost = node.cache.attachments
        .filter(({ entry, state }) => state === "alive" && entry.networkName === network.name)
        .flatMap(({ entry }) =>
          addressesIn(entry)
            .filter(isIPv4)
            .filter((address) => {
              const route = lookupRoute(rtnl, address);
              return route === undefined || !leadsThrough(route, link.index);
            })
            .map(
              (address) =>
                `${nameOf(entry)}: the route to ${formatAddress(address)} does not lead through ${link.name}`,
            ),
        );
      if (lost.length === 0) return [];
      return [
        {
          text: `the host drops what ${lost.length} containers of network "${network.name}" send: rp_filter of ${link.name} is strict`,
          evidence: lost,
          remedy: `ip route get ADDRESS shows the route that is in the way: remove it; where it is meant, sysctl -w net.ipv4.conf.${link.name.replaceAll(".", "/")}.rp_filter=2`,
        },
      ];
    }),
};

/** The kernel takes the larger of the link's value and that of all. */
const effectiveFilter = (link: string, { sysctl }: NodeView): number =>
  Math.max(...[`ipv4/conf/all/rp_filter`, `ipv4/conf/${link}/rp_filter`].map((name) => Number(sysctl(name) ?? 0)));
