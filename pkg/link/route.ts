/** Routes: what `ip route` does. */
import { type Address, networkOf, type Prefix } from "../ip/address.ts";
import { type Connection, query, type Request, request } from "../netlink/connection.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/frame.ts";
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
import { familyNumber } from "./address.ts";

export interface LinkRoute {
  /** Prefix length 0 for the default route. */
  destination: Prefix;
  gateway?: Uint8Array | undefined;
  /** Metric. */
  priority?: number | undefined;
  /** The main table when absent. */
  table?: number | undefined;
  /** RT_SCOPE_*. */
  scope?: number | undefined;
  /** Of packets that this host sends there. */
  source?: Uint8Array | undefined;
  mtu?: number | undefined;
  advertisedMss?: number | undefined;
}

/**
 * `ip route prepend <destination> via <gateway> dev <index>`: a destination may have several gateways; the same route twice
 * is refused (EEXIST).
 *
 * @param options.exclusive `ip route add`: any route to that destination, over whichever link, is in the way (EEXIST).
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
      table: table < 256 ? table : RT_TABLE_UNSPEC,
      protocol: RTPROT_BOOT,
      scope,
      type: RTN_UNICAST,
      ...(network.length > 0 && { destination: network.address }),
      outputIndex: index,
      ...(table >= 256 && { longTable: table }),
      gateway,
      priority,
      preferredSource: source,
      ...((mtu || advertisedMss) && { metrics: { mtu: mtu || undefined, advertisedMss: advertisedMss || undefined } }),
    },
  });
}

/** `ip route del <destination> dev <index>`, of whatever scope and origin. */
export function deleteRoute(index: number, destination: Prefix): Request {
  const network = networkOf(destination);
  return request({
    name: "RTM_DELROUTE",
    type: RTM_DELROUTE,
    table: routeMessage,
    value: {
      family: familyNumber(network.address),
      destinationLength: network.length,
      table: RT_TABLE_MAIN,
      scope: RT_SCOPE_NOWHERE,
      ...(network.length > 0 && { destination: network.address }),
      outputIndex: index,
    },
  });
}

/** Routes of a family, of the main table unless another one is named; without those the kernel made up for a flow. */
export function listRoutes(connection: Connection, family: number, table = RT_TABLE_MAIN): RouteMessage[] {
  const value = { family, table: table < 256 ? table : RT_TABLE_UNSPEC, ...(table >= 256 && { longTable: table }) };
  return connection
    .dump(query({ name: "RTM_GETROUTE", type: RTM_GETROUTE, table: routeMessage, value }))
    .filter((route) => (route.longTable ?? route.table) === table && (route.flags & RTM_F_CLONED) === 0);
}

/**
 * `ip route get <address>`: the way the kernel would send there. One without `gateway` leads to a neighbour; one of type
 * RTN_LOCAL to an address of this host.
 *
 * @returns undefined: it would not send
 */
export function lookupRoute(connection: Connection, destination: Address): RouteMessage | undefined {
  const value = { family: familyNumber(destination), destinationLength: destination.length * 8, destination };
  try {
    return connection.get(query({ name: "RTM_GETROUTE", type: RTM_GETROUTE, table: routeMessage, value }));
  } catch (error) {
    if (isErrno(error, ...noWay)) return undefined;
    throw error;
  }
}

/** No route; unreachable; prohibit; blackhole. */
const noWay = ["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL"] as const;
