import { contains, formatAddress, formatPrefix, overlaps, type Prefix } from "../../../pkg/ip/address.ts";
import { ownerOf } from "../../../pkg/link/owner.ts";
import { destinationOf, gatewaysOf } from "../../../pkg/link/route.ts";
import type { RouteMessage } from "../../../pkg/netlink/rtnetlink/route.ts";
import type { Network } from "../../cnitool/lint/lint-file.ts";
import { gatewayLinksOf, isRouted, subnetsOf } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";
import type { NodeView } from "./node-view.ts";

/** Subnets of two networks are configuration's; those of networks without a gateway on the host belong to the network outside. */
export const overlappingRoutes: Check = {
  id: "overlapping-routes",
  about: "routes of the host that lead into a network's subnet over another link, as of a VPN",
  severity: "warning",
  find: (node) => node.networks.filter(isRouted).flatMap((network) => observationsOf(network, node)),
};

function observationsOf(network: Network, node: NodeView): Observation[] {
  const gateways = gatewayLinksOf(network);
  const own = new Set(
    node.links
      .filter((link) => gateways.includes(link.name) || ownerOf(link)?.network === network.name)
      .map(({ index }) => index),
  );
  const isForeign = ({ outputIndex }: RouteMessage) => outputIndex === undefined || !own.has(outputIndex);
  const foreign = node.routes.filter(isForeign).filter((route) => destinationOf(route).length > 0);
  const isPtp = network.plugins.some(({ type }) => type === "ptp");
  return subnetsOf(network).flatMap((subnet): Observation[] => {
    const routes = foreign.filter(
      (route) => overlaps(destinationOf(route), subnet) && !(isPtp && leadsToContainer(route, subnet, node)),
    );
    if (routes.length === 0) return [];
    return [
      {
        text: `subnet ${formatPrefix(subnet)} of network "${network.name}" overlaps with routes of this host`,
        evidence: routes.map((route) => textOf(route, node)),
        remedy: `give the network another subnet in ${network.file}, and create its containers again; or remove the route if it is left over`,
      },
    ];
  });
}

/** Reports whether a route is that of a container: the reference plugin ptp makes one for its address, over a veth without a mark. */
function leadsToContainer(route: RouteMessage, subnet: Prefix, { links }: NodeView): boolean {
  const { address, length } = destinationOf(route);
  const link = links.find(({ index }) => index === route.outputIndex);
  if (length !== 8 * address.length || !contains(subnet, address)) return false;
  return link?.kind === "veth" && ownerOf(link) === undefined;
}

function textOf(route: RouteMessage, { links }: NodeView): string {
  const link = links.find(({ index }) => index === route.outputIndex)?.name;
  const gateways = gatewaysOf(route).map((gateway) => ` via ${formatAddress(gateway)}`);
  return `${formatPrefix(destinationOf(route))}${gateways.join("")}${link === undefined ? "" : ` dev ${link}`}`;
}
