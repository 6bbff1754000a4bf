/**
 * Access between the host and its own macvlan containers, for `hostAccess`. The kernel does not pass packets from a macvlan link to
 * the master's own stack, but it does pass them to the master's other macvlan links. So the host gets such a link, the shim, and
 * routes through it to the containers' addresses.
 *
 * The shim has no addresses: for IPv4, the host answers for its addresses on all its links; for IPv6, the shim answers for the
 * master's addresses as a proxy. Rejected: copies of the master's addresses, which would stay when an address is moved, perhaps to
 * another host.
 *
 * A network has one shim on each master. The metric of a route tells which attachment it belongs to: an address is passed from one
 * container to the next, a metric is not. The shim is deleted with its last route. All changes are made under the lock of the
 * host's namespace, so that the last route is not removed while another one is added.
 */
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import type { IpConfig, Result } from "../../pkg/cni/result.ts";
import { hashedName } from "../../pkg/firewall/upstream-names.ts";
import { type Address, contains, formatAddress, isIPv4, type Prefix } from "../../pkg/ip/address.ts";
import { addressesOf } from "../../pkg/link/address.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import { addressOf } from "../../pkg/link/configure.ts";
import { enableIPv6 } from "../../pkg/link/ipv6.ts";
import {
  addLink,
  deleteLink,
  findLink,
  type Link,
  listLinks,
  needLink,
  openRtnetlink,
  setAlias,
  setUp,
} from "../../pkg/link/link.ts";
import { withLockedNamespace } from "../../pkg/link/lock.ts";
import { proxyNeighbour } from "../../pkg/link/neighbour.ts";
import type { Parent } from "../../pkg/link/parent.ts";
import { addRoute, deleteRoute, listRoutes } from "../../pkg/link/route.ts";
import { trySysctl } from "../../pkg/link/sysctl.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { AF_INET, AF_INET6 } from "../../pkg/netlink/rtnetlink/family.ts";
import { MACVLAN_MODE_BRIDGE } from "../../pkg/netlink/rtnetlink/link/macvlan.ts";
import { RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RTPROT_BOOT } from "../../pkg/netlink/rtnetlink/route.ts";
import { OWN_NAMESPACE } from "../../pkg/sys/namespace.ts";

/** Makes host and container reachable for each other at the container's addresses. */
export function openHostAccess({ rtnl, link: master }: Parent, owner: AttachmentId, ips: readonly IpConfig[]): void {
  const prefixes = ips.map((ip) => addressOf(ip).prefix);
  withLockedNamespace({ path: OWN_NAMESPACE }, () => {
    const shim = ensureShim(rtnl, master, owner.network);
    enableIPv6(shim, prefixes);
    const ofHost = addressesOf(rtnl, master.index).filter(({ scope }) => scope === RT_SCOPE_UNIVERSE);
    const own = ofHost.map(({ prefix }) => prefix.address).filter((address) => !isIPv4(address));
    rtnl.requestAll([
      ...own.map((address) => proxyNeighbour(shim.index, address)),
      ...prefixes.map(({ address }) =>
        addRoute(shim.index, {
          destination: single(address),
          priority: metricOf(owner),
          scope: RT_SCOPE_LINK,
          source: ofHost.find(({ prefix }) => contains(prefix, address))?.prefix.address,
        }),
      ),
    ]);
  });
}

const single = (address: Address): Prefix => ({ address, length: 8 * address.length });

/** Makes the shim if missing, and always configures it: the process that made it may have been killed before that. */
function ensureShim(rtnl: Connection, master: Link, network: string): Link {
  const ifName = shimName(network, master);
  const shim = findLink(rtnl, ifName) ?? makeShim(rtnl, ifName, master);
  // before it is up: router advertisements on that network are not for the host's shim
  trySysctl(`ipv6/conf/${ifName}/accept_ra`, "0");
  // an interface is a proxy only if it forwards; this does not make the whole host forward
  trySysctl(`ipv6/conf/${ifName}/proxy_ndp`, "1");
  trySysctl(`ipv6/conf/${ifName}/forwarding`, "1");
  rtnl.requestAll([setAlias(shim.index, `the host's access to network ${network}`), setUp(shim.index)]);
  return shim;
}

function makeShim(rtnl: Connection, ifName: string, master: Link): Link {
  const linkInfo = { kind: "macvlan", data: { mode: MACVLAN_MODE_BRIDGE } } as const;
  rtnl.request(addLink({ ifName, link: master.index, linkInfo }));
  return needLink(rtnl, ifName);
}

/** Removes the routes of one container, and the shim when no other container needs it. */
export function closeHostAccess(owner: AttachmentId, rtnl = openRtnetlink()): void {
  const own = metricOf(owner);
  removeWays(rtnl, owner.network, (metric) => metric === own);
}

/** Removes the routes of attachments that are not in the list, for GC. */
export function collectHostAccess(
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
  rtnl: Connection,
): void {
  const alive = new Set(valid.map(metricOf));
  removeWays(rtnl, network, (metric) => !alive.has(metric));
}

function removeWays(rtnl: Connection, network: string, isGone: (metric: number) => boolean): void {
  withLockedNamespace({ path: OWN_NAMESPACE }, () => {
    for (const shim of shimsOf(rtnl, network)) {
      const ways = waysThrough(rtnl, shim);
      const gone = ways.filter(({ metric }) => isGone(metric));
      if (gone.length === ways.length) deleteLink(rtnl, shim.index);
      else
        rtnl.requestAll(
          gone.map(({ destination, metric }) => deleteRoute(shim.index, { destination, priority: metric })),
        );
    }
  });
}

/** Checks that each of the container's addresses has its route. */
export function checkHostAccess(owner: AttachmentId, { ips, interfaces }: Result): void {
  const rtnl = openRtnetlink();
  const ways = shimsOf(rtnl, owner.network).flatMap((shim) => waysThrough(rtnl, shim));
  const own = ways.filter(({ metric }) => metric === metricOf(owner));
  const there = own.map(({ destination }) => formatAddress(destination.address));
  const missing = ips
    .filter(({ interface: index = 0 }) => interfaces[index]?.name === owner.ifName) // not those of later plugins
    .map((ip) => formatAddress(addressOf(ip).prefix.address))
    .find((one) => !there.includes(one));
  if (missing !== undefined) throw checkFailure(`the host has no route to ${missing}, which "hostAccess" needs`);
}

const shimsOf = (rtnl: Connection, network: string): Link[] =>
  listLinks(rtnl).filter(({ name, kind }) => kind === "macvlan" && name.startsWith(shimPrefix(network)));

/** A route to a container. */
interface Way {
  destination: Prefix;
  metric: number;
}

/** Lists the routes through the shim, leaving out those that the kernel made. */
const waysThrough = (rtnl: Connection, shim: Link): Way[] =>
  [AF_INET, AF_INET6]
    .flatMap((family) => listRoutes(rtnl, family))
    .filter(({ outputIndex, protocol }) => outputIndex === shim.index && protocol === RTPROT_BOOT)
    .flatMap(({ destination: address, destinationLength: length, priority: metric = 0 }) =>
      address === undefined ? [] : [{ destination: { address, length }, metric }],
    );

/** Names the shim: `mvh` and twelve digits, six for the network, by which DEL and GC find it, and six for the master. */
const shimName = (network: string, master: Link): string => shimPrefix(network) + hashedName("", master.name, 6);
const shimPrefix = (network: string): string => hashedName("mvh", network, 9);

/** Returns 1 to 2^31, since 0 means that there is no metric. */
const metricOf = ({ containerId, ifName }: Omit<AttachmentId, "network">): number =>
  1 + (Number.parseInt(hashedName("", `${containerId}:${ifName}`, 8), 16) >>> 1);
