/** Routes, as `ip route` handles them. */
import type { Route } from "../cni/result.ts";
import { type Address, compareAddresses, networkOf, type Prefix, parseGateway, parsePrefix } from "../ip/address.ts";
import { type Connection, query, type Request, request } from "../netlink/connection.ts";
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../netlink/nlmsg.ts";
import { AF_INET, AF_INET6, AF_UNSPEC } from "../netlink/rtnetlink/family.ts";
import { RTNH_F_ONLINK } from "../netlink/rtnetlink/nexthop.ts";
import {
  type RouteMessage,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RT_TABLE_UNSPEC,
  RTM_DELROUTE,
  RTM_F_CLONED,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTPROT_BOOT,
  routeMessage,
} from "../netlink/rtnetlink/route.ts";
import { isErrno } from "../sys/errno.ts";
import { familyNumber, samePrefix } from "./address.ts";

export interface LinkRoute {
  /** Prefix length 0 for the default route. */
  destination: Prefix;
  gateway?: Uint8Array | undefined;
  /** The metric. */
  priority?: number | undefined;
  /** The routing table; the main table when absent. */
  table?: number | undefined;
  /** RT_SCOPE_*. */
  scope?: number | undefined;
  /** The preferred source address of packets that this host sends there. */
  source?: Uint8Array | undefined;
  mtu?: number | undefined;
  advertisedMss?: number | undefined;
}

/**
 * `ip route prepend <destination> via <gateway> dev <index>`: a destination may have several gateways; the kernel refuses a route that
 * exists already (EEXIST).
 *
 * @param options.exclusive `ip route add`: refused (EEXIST) when there is any route to that destination, over any link.
 */
export function addRoute(
  index: number,
  route: LinkRoute,
  { exclusive = false }: { exclusive?: boolean } = {},
): Request {
  const {
    destination,
    gateway,
    priority,
    table = RT_TABLE_MAIN,
    scope = RT_SCOPE_UNIVERSE,
    source,
    mtu,
    advertisedMss,
  } = route;
  const network = networkOf(destination);
  return request({
    name: "RTM_NEWROUTE",
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0),
    table: routeMessage,
    value: {
      family: familyNumber(network.address),
      destinationLength: network.length,
      ...tableAttributes(table),
      protocol: RTPROT_BOOT,
      scope,
      type: RTN_UNICAST,
      ...(network.length > 0 && { destination: network.address }),
      outputIndex: index,
      gateway,
      priority,
      preferredSource: source,
      ...((mtu || advertisedMss) && { metrics: { mtu: mtu || undefined, advertisedMss: advertisedMss || undefined } }),
    },
  });
}

/** `ip route del <destination> dev <index> table <table>`, for a route of any scope and protocol, and of any metric unless one is given. */
export function deleteRoute(
  index: number,
  { destination, table = RT_TABLE_MAIN, priority }: Pick<LinkRoute, "destination" | "table" | "priority">,
): Request {
  const network = networkOf(destination);
  return request({
    name: "RTM_DELROUTE",
    type: RTM_DELROUTE,
    table: routeMessage,
    value: {
      family: familyNumber(network.address),
      destinationLength: network.length,
      ...tableAttributes(table),
      scope: RT_SCOPE_NOWHERE,
      ...(network.length > 0 && { destination: network.address }),
      outputIndex: index,
      priority,
    },
  });
}

/** Returns the fields for a table's number; the header has only 8 bits for it. */
const tableAttributes = (table: number) => (table < 256 ? { table } : { table: RT_TABLE_UNSPEC, longTable: table });

/** Returns the routes of a family in one table, by default the main table, without cloned ones, which the kernel makes for single flows. */
export function listRoutes(connection: Connection, family: number, table = RT_TABLE_MAIN): RouteMessage[] {
  const value = { family, ...tableAttributes(table) };
  try {
    return connection
      .dump(query({ name: "RTM_GETROUTE", type: RTM_GETROUTE, table: routeMessage, value }))
      .filter((route) => tableOf(route) === table && (route.flags & RTM_F_CLONED) === 0);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return []; // the table does not exist before its first route
    throw error;
  }
}

/** Returns the routes of `ip route show table all`, of both families, without cloned ones. */
export function listAllRoutes(connection: Connection): RouteMessage[] {
  return connection
    .dump(query({ name: "RTM_GETROUTE", type: RTM_GETROUTE, table: routeMessage, value: { family: AF_UNSPEC } }))
    .filter(({ family, flags }) => (family === AF_INET || family === AF_INET6) && (flags & RTM_F_CLONED) === 0);
}

export const tableOf = ({ longTable, table }: Pick<RouteMessage, "longTable" | "table">): number => longTable ?? table;

/** Prefix length 0 for the default route. */
export const destinationOf = ({ family, destination, destinationLength: length }: RouteMessage): Prefix => ({
  address: destination ?? new Uint8Array(family === AF_INET ? 4 : 16),
  length,
});

/** Reports whether all next hops of the route are through this link. */
export function leadsThrough({ outputIndex, multipath = [] }: RouteMessage, index: number): boolean {
  return multipath.length > 0 ? multipath.every((hop) => hop.index === index) : outputIndex === index;
}

/** `ip route append …` for a listed route, into its own table or another one. The kernel refuses a route that exists already (EEXIST). */
export function appendListed(route: RouteMessage, table = tableOf(route)): Request {
  return listedRequest("RTM_NEWROUTE", NLM_F_CREATE | NLM_F_APPEND, route, table);
}

/** `ip route replace …` for a listed route. */
export function replaceListed(route: RouteMessage, table = tableOf(route)): Request {
  return listedRequest("RTM_NEWROUTE", NLM_F_CREATE | NLM_F_REPLACE, route, table);
}

/** `ip route delete …` for a listed route. */
export function deleteListed(route: RouteMessage, table = tableOf(route)): Request {
  return listedRequest("RTM_DELROUTE", 0, route, table);
}

const numbers = { RTM_NEWROUTE, RTM_DELROUTE };

/**
 * Returns a request from a listed route without the attributes that the kernel does not accept: states, timers, the ID of a next hop
 * object.
 */
function listedRequest(name: keyof typeof numbers, flags: number, listed: RouteMessage, table: number): Request {
  const {
    cacheInfo: _,
    nexthopId: _id,
    expiresSeconds: _time,
    unknown: _unknown,
    longTable: _table,
    ...route
  } = listed;
  const { multipath } = route;
  return request({
    name,
    type: numbers[name],
    flags,
    table: routeMessage,
    value: {
      ...route,
      ...tableAttributes(table),
      flags: route.flags & RTNH_F_ONLINK,
      ...(multipath && { multipath: multipath.map((hop) => ({ ...hop, flags: hop.flags & RTNH_F_ONLINK })) }),
    },
  });
}

/** Sorts routes: those without a gateway first, since the gateways of the others are reached by them. */
export const inOrder = (routes: readonly RouteMessage[]): RouteMessage[] => [
  ...routes.filter((route) => !hasGateway(route)),
  ...routes.filter(hasGateway),
];

/** Returns the gateways of all next hops. */
export const gatewaysOf = ({ gateway, multipath = [] }: RouteMessage): Address[] =>
  [gateway, ...multipath.map((hop) => hop.gateway)].filter((one) => one !== undefined);

/**
 * Reports whether it is a route of a result. Where the result names no gateway, any gateway is accepted: the plugin that added it chose
 * one.
 */
export function isRouteOfResult(route: RouteMessage, { dst, gw }: Pick<Route, "dst" | "gw">): boolean {
  const destination = parsePrefix(dst);
  if (destination === undefined || !samePrefix(destinationOf(route), networkOf(destination))) return false;
  const gateway = gw === undefined ? undefined : parseGateway(gw);
  return gateway === undefined || gatewaysOf(route).some((one) => compareAddresses(one, gateway) === 0);
}

/** Reports whether a route has a gateway, also one of the other address family. */
export const hasGateway = (route: RouteMessage): boolean =>
  gatewaysOf(route).length > 0 || [route, ...(route.multipath ?? [])].some(({ via }) => via !== undefined);

/**
 * `ip route get <address>`: returns the route that the kernel would use. Without `gateway`, the address is on the link; with type
 * RTN_LOCAL, it is an address of this host.
 *
 * @param source As with `from`: an address of this host, for rules about the source
 * @returns undefined when there is no usable route
 */
export function lookupRoute(connection: Connection, destination: Address, source?: Address): RouteMessage | undefined {
  const to = { family: familyNumber(destination), destinationLength: destination.length * 8, destination };
  const value = source === undefined ? to : { ...to, sourceLength: source.length * 8, source };
  try {
    return connection.get(query({ name: "RTM_GETROUTE", type: RTM_GETROUTE, table: routeMessage, value }));
  } catch (error) {
    if (isErrno(error, ...noWay)) return undefined;
    throw error;
  }
}

/** The errors for: no route; unreachable; prohibit; blackhole. */
const noWay = ["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL"] as const;
