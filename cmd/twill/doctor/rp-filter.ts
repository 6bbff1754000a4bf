import { type Address, formatAddress, isIPv4 } from "../../../pkg/ip/address.ts";
import { withRtnetlink } from "../../../pkg/link/in-namespace.ts";
import { findLink, type Link, openRtnetlink } from "../../../pkg/link/link.ts";
import { ownerOf } from "../../../pkg/link/owner.ts";
import { leadsThrough, lookupRoute } from "../../../pkg/link/route.ts";
import { findSysctl } from "../../../pkg/link/sysctl.ts";
import type { Connection } from "../../../pkg/netlink/connection.ts";
import { namespacePath } from "../../../pkg/runtime/cached-namespace.ts";
import { nameOf } from "../../../pkg/runtime/result-cache.ts";
import { lazy } from "../../../pkg/sys/lazy.ts";
import { closeNamespace, findNamespace, within } from "../../../pkg/sys/namespace.ts";
import { type CachedAttachment, keyOf, ownerOfEntry } from "../node/cached-attachments.ts";
import { gatewayLinksOf, isRouted } from "./configured-network.ts";
import type { Check, Observation } from "./finding.ts";
import type { ConfiguredNetwork, NodeView } from "./node-view.ts";
import { addressesIn } from "./traffic-sample.ts";

const STRICT = 1;
/** Stands for any other host: an address for documentation (RFC 5737), to which no route leads but the default one. */
const ANY_HOST: Address = Uint8Array.of(203, 0, 113, 1);

export const rpFilter: Check = {
  id: "rp-filter",
  about: "rp_filter: whether host or containers drop packets since their route back leads elsewhere",
  severity: "error",
  find(node) {
    const rtnl = lazy(openRtnetlink);
    return [
      ...node.networks.filter(isRouted).flatMap((network) => droppedByHost(network, node, rtnl)),
      ...node.cache.attachments.filter(({ state }) => state === "alive").flatMap((one) => droppedInside(one, node)),
    ];
  },
};

const isStrict = (ifName: string, sysctl: (name: string) => string | undefined): boolean =>
  Math.max(...["all", ifName].map((name) => Number(sysctl(`ipv4/conf/${name}/rp_filter`) ?? 0))) === STRICT; // the kernel takes the larger one

/** Looks for routes to containers that do not lead through the link on which their packets come in: the bridge, or ptp's end of the veth pair. */
function droppedByHost(network: ConfiguredNetwork, node: NodeView, rtnl: () => Connection): Observation[] {
  const [bridge] = gatewayLinksOf(network);
  const byLink = new Map<Link, string[]>();
  for (const { entry, state } of node.cache.attachments) {
    if (state !== "alive" || entry.networkName !== network.name) continue;
    const key = keyOf(ownerOfEntry(entry));
    const link = node.links.find((one) => {
      const owner = bridge === undefined ? ownerOf(one) : undefined;
      return owner === undefined ? one.name === bridge : keyOf(owner) === key;
    });
    if (link === undefined || !isStrict(link.name, node.sysctl)) continue;
    const lost = addressesIn(entry)
      .filter(isIPv4)
      .filter((address) => {
        const route = lookupRoute(rtnl(), address);
        return route === undefined || !leadsThrough(route, link.index);
      })
      .map(formatAddress);
    if (lost.length === 0) continue;
    const what = `${nameOf(entry)}: the route to ${lost.join(" or ")} does not lead through ${link.name}`;
    byLink.set(link, [...(byLink.get(link) ?? []), what]);
  }
  return [...byLink].map(([{ name }, evidence]) => ({
    text: `the host drops what ${evidence.length} containers of network "${network.name}" send: rp_filter of ${name} is strict`,
    evidence,
    remedy: `ip route get ADDRESS shows the route that is in the way: remove it; where it is meant, sysctl -w net.ipv4.conf.${name.replaceAll(".", "/")}.rp_filter=2`,
  }));
}

/**
 * Looks at containers of several networks with published ports: what comes from other hosts in through one interface, and is answered through another, as
 * that of the default route. An attachment that publishes no ports may be meant for its own subnet alone.
 */
function droppedInside({ entry }: CachedAttachment, node: NodeView): Observation[] {
  const { portMappings } = entry.capabilityArgs;
  const path = namespacePath(entry);
  if (!Array.isArray(portMappings) || portMappings.length === 0 || hidesClients(entry.networkName, node)) return [];
  const namespace = findNamespace(path);
  if (namespace === undefined) return [];
  const { ifName } = entry;
  try {
    if (!within(namespace, () => isStrict(ifName, findSysctl))) return [];
    const lost = withRtnetlink(namespace, (rtnl) =>
      addressesIn(entry).filter((address) => isIPv4(address) && isAsymmetric(rtnl, ifName, address)),
    );
    if (lost.length === 0) return [];
    const addresses = lost.map(formatAddress).join(", ");
    return [
      {
        text: `${nameOf(entry)} drops what other hosts send to its published ports: rp_filter of its interface is strict, and its route back leads elsewhere`,
        evidence: [`in ${path}: no route from ${addresses} to other hosts leads through ${ifName}`],
        remedy: `put the plugin sbr into network "${entry.networkName}", and create the container again; until then, nsenter --net=${path} sysctl -w net.ipv4.conf.${ifName.replaceAll(".", "/")}.rp_filter=2`,
      },
    ];
  } finally {
    closeNamespace(namespace);
  }
}

/** Whether containers see the host's address in the place of their clients'. */
const hidesClients = (network: string, { networks }: NodeView): boolean =>
  networks.some(({ name, plugins }) => name === network && plugins.some(({ conf }) => conf["masqAll"] === true));

function isAsymmetric(rtnl: Connection, ifName: string, address: Address): boolean {
  const link = findLink(rtnl, ifName);
  if (link === undefined) return false;
  const route = lookupRoute(rtnl, ANY_HOST, address);
  return route === undefined || !leadsThrough(route, link.index);
}
