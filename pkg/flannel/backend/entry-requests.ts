/** Converts entries to requests to the kernel, and reads them from it. */

import { type Address, contains, isIPv4, type Prefix } from "../../ip/address.ts";
import type { FamilyName } from "../../ip/family.ts";
import { familyNumber } from "../../link/address.ts";
import {
  deleteForwarding,
  deleteNeighbour,
  listForwarding,
  listNeighbours,
  replaceForwarding,
  replaceNeighbour,
} from "../../link/neighbour.ts";
import { type Connection, query, type Request, request } from "../../netlink/connection.ts";
import { type MessageOf, only } from "../../netlink/message.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../../netlink/nlmsg.ts";
import { AF_INET, AF_INET6 } from "../../netlink/rtnetlink/family.ts";
import { RTNH_F_ONLINK } from "../../netlink/rtnetlink/nexthop.ts";
import {
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_F_CLONED,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTPROT_BOOT,
  RTPROT_KERNEL,
  RTPROT_UNSPEC,
  routeMessage,
} from "../../netlink/rtnetlink/route.ts";
import {
  type Entry,
  type FoundEntry,
  forwardingEntry,
  type LinkName,
  neighbourEntry,
  type RouteEntry,
  RTPROT_TWILL,
  routeEntry,
} from "./entry.ts";

/** The devices and networks of a backend's entries. */
export interface Domain {
  /** Our own devices with their family; every entry on them is ours. */
  devices: readonly { link: LinkName; family: FamilyName }[];
  /** The external interface. */
  external: LinkName;
  /** The cluster's networks. Another daemon on this host may have routes with the same protocol in its own network. */
  networks: readonly Prefix[];
}

/**
 * Makes the request that `ip route replace`, `ip neighbour replace` or `bridge fdb replace` would send.
 *
 * @param options.replaces A route with this ID exists and may be replaced, atomically. Otherwise as `ip route add`: EEXIST means that
 *   another program has such a route.
 */
export function setRequest(entry: Entry, { replaces }: { replaces: boolean }): Request {
  switch (entry.kind) {
    case "route":
      return replaces ? routeRequest(entry, NLM_F_REPLACE) : routeRequest(entry, NLM_F_EXCL);
    case "neighbour":
      return replaceNeighbour(entry.link.index, entry);
    case "fdb":
      return replaceForwarding(entry.link.index, entry);
  }
}

export function removeRequest(entry: Entry): Request {
  switch (entry.kind) {
    case "route":
      return deleteRoute(entry);
    case "neighbour":
      return deleteNeighbour(entry.link.index, entry.address);
    case "fdb":
      return deleteForwarding(entry.link.index, entry);
  }
}

function routeRequest(entry: RouteEntry, flag: number): Request {
  const flags = entry.isOnLink ? RTNH_F_ONLINK : 0;
  return request({
    name: "RTM_NEWROUTE",
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | flag,
    table: routeMessage,
    value: { ...routeOf(entry), scope: RT_SCOPE_UNIVERSE, flags },
  });
}

function deleteRoute(entry: RouteEntry): Request {
  return request({
    name: "RTM_DELROUTE",
    type: RTM_DELROUTE,
    table: routeMessage,
    value: { ...routeOf(entry), scope: RT_SCOPE_NOWHERE },
  });
}

/** Returns what identifies a route to the kernel. */
const routeOf = ({ destination, gateway, link, protocol }: RouteEntry) => ({
  family: familyNumber(destination.address),
  destinationLength: destination.length,
  table: RT_TABLE_MAIN,
  protocol,
  type: RTN_UNICAST,
  destination: destination.address,
  gateway,
  outputIndex: link.index,
});

/** Reads the entries of the domain, and other programs' routes to the same destinations; those with the same ID in the kernel's order. */
export function readEntries(rtnl: Connection, domain: Domain): FoundEntry[] {
  const families = new Set(domain.networks.map(({ address }) => familyNumber(address)));
  return [
    ...[...families].flatMap((family) => readRoutes(rtnl, family, domain)),
    ...domain.devices
      .flatMap(({ link, family }) => [
        ...listNeighbours(rtnl, link.index, family).flatMap((one) =>
          isMulticast(one.address) ? [] : [neighbourEntry({ ...one, link })],
        ),
        ...listForwarding(rtnl, link.index).map((one) => forwardingEntry({ ...one, link })),
      ])
      .map((entry) => ({ entry, isOurs: true })),
  ];
}

export const isMulticast = (address: Address): boolean =>
  isIPv4(address) ? ((address[0] ?? 0) & 0xf0) === 0xe0 : address[0] === 0xff;

/** The attributes that identify and describe a route. */
export const routeSummary = only(routeMessage, [
  "destination",
  "gateway",
  "outputIndex",
  "longTable",
  "priority",
  "multipath",
]);
export type RouteSummary = MessageOf<typeof routeSummary>;

function readRoutes(rtnl: Connection, family: number, domain: Domain): FoundEntry[] {
  const value = { family, table: RT_TABLE_MAIN };
  return rtnl
    .dump(query({ name: "RTM_GETROUTE", type: RTM_GETROUTE, table: routeSummary, value }))
    .flatMap((message) => foundRoute(message, domain) ?? []);
}

/** @returns undefined: it is not ours, and its destination is not in the cluster's networks */
export function foundRoute(message: RouteSummary, { devices, external, networks }: Domain): FoundEntry | undefined {
  const { destination: address, destinationLength: length, protocol, outputIndex = 0 } = message;
  if ((message.longTable ?? message.table) !== RT_TABLE_MAIN || (message.flags & RTM_F_CLONED) !== 0) return undefined;
  const device = devices.find(({ link }) => link.index === outputIndex);
  if (address === undefined || (device && protocol === RTPROT_KERNEL)) return undefined;
  const isInside = networks.some((network) => network.length <= length && contains(network, address));
  if (!device && !isInside) return undefined;
  return {
    entry: routeEntry({
      destination: { address, length },
      gateway: message.gateway,
      link:
        device?.link ?? (outputIndex === external.index ? external : { index: outputIndex, name: `#${outputIndex}` }),
      isOnLink: (message.flags & RTNH_F_ONLINK) !== 0,
      protocol,
      idSuffix: metricSuffix(message),
      textSuffix: typeSuffix(message),
    }),
    isOurs: message.type === RTN_UNICAST && (device !== undefined || protocol === RTPROT_TWILL),
    isProtected: device === undefined && !replaceable.has(protocol),
  };
}

/** Protocols of routes that may be replaced: ours, and those of flannel and of `ip route add` without a protocol. */
const replaceable = new Set([RTPROT_TWILL, RTPROT_BOOT, RTPROT_UNSPEC]);

/** The kernel's default priority of IPv6 routes (linux/ipv6_route.h: IP6_RT_PRIO_USER). */
const IP6_RT_PRIO_USER = 1024;
const usualPriority: Readonly<Record<number, number>> = { [AF_INET]: 0, [AF_INET6]: IP6_RT_PRIO_USER };

const metricSuffix = ({ tos, family, priority = 0 }: RouteSummary): string =>
  (tos === 0 ? "" : ` tos ${tos}`) + (priority === usualPriority[family] ? "" : ` metric ${priority}`);

const typeSuffix = ({ type, multipath }: RouteSummary): string =>
  (type === RTN_UNICAST ? "" : ` type ${type}`) + (multipath === undefined ? "" : " multipath");
