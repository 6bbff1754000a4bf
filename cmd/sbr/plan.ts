/** Plans which route is moved to which table: each address gets its own table, with the routes through the interface. Pure. */

import type { Result, Route } from "../../pkg/cni/result.ts";
import { type Address, contains, formatAddress, formatPrefix, networkOf, type Prefix } from "../../pkg/ip/address.ts";
import { familyOf } from "../../pkg/ip/family.ts";
import { familyNumber } from "../../pkg/link/address.ts";
import type { Address4Or6 } from "../../pkg/link/configure.ts";
import { destinationOf, gatewaysOf, hasGateway, inOrder, isRouteOfResult } from "../../pkg/link/route.ts";
import { freeTable } from "../../pkg/link/rule.ts";
import { AF_INET } from "../../pkg/netlink/rtnetlink/family.ts";
import { type RouteMessage, RT_SCOPE_LINK, RT_TABLE_MAIN } from "../../pkg/netlink/rtnetlink/route.ts";
import type { SbrSettings } from "./netconf.ts";

/** The routing table for packets from one address. */
export interface OwnTable {
  table: number;
  source: Address;
  /** Gateway of a default route to add, if `routes` has none. */
  gateway: Address | undefined;
  /** Routes as in the main table, in an order in which they can be added. */
  routes: RouteMessage[];
}

export interface Plan {
  tables: OwnTable[];
  /** Routes that leave the main table. */
  moved: RouteMessage[];
  /** Routes that stay there, and get the address as their source. */
  hinted: { route: RouteMessage; source: Address }[];
}

/** The first table that the reference plugin uses. */
const FIRST_TABLE = 100;

/** Plans rules alone: all packets from the addresses use one table, which the administrator maintains. */
export const rulesOnly = (addresses: readonly Address4Or6[], table: number): Plan => ({
  tables: addresses.map(({ prefix }) => ({ table, source: prefix.address, gateway: undefined, routes: [] })),
  moved: [],
  hinted: [],
});

/**
 * Plans a free table for each address, to which the interface's routes are moved.
 *
 * @param routes of the main table that use the interface.
 * @param used Tables that are not free.
 */
export function tableForEach(
  addresses: readonly Address4Or6[],
  routes: readonly RouteMessage[],
  used: ReadonlySet<number>,
  settings: Pick<SbrSettings, "gateways" | "keepsSubnetRoutes">,
): Plan {
  const movable = inOrder(routes.filter((route) => !isLinkLocal(route)));
  const taken = new Set(used);
  const tables = addresses.map((address): OwnTable => {
    const table = freeTable(taken, FIRST_TABLE);
    taken.add(table);
    const own = movable.filter((route) => belongsTo(route, address, addresses));
    return { table, source: address.prefix.address, ...defaultsOf(address, own, settings) };
  });
  if (!settings.keepsSubnetRoutes) return { tables, moved: movable, hinted: [] };
  const isKept = (route: RouteMessage) => isOnLink(route) || subnetAddress(route, addresses) !== undefined;
  return {
    tables,
    moved: movable.filter((route) => !isKept(route)),
    hinted: movable.filter(isKept).flatMap((route) => {
      const source = subnetAddress(route, addresses)?.prefix.address;
      const needsHint = source !== undefined && route.family === AF_INET && route.preferredSource === undefined;
      return needsHint ? [{ route, source }] : []; // for IPv6, the kernel selects among the link's addresses itself
    }),
  };
}

/** Whether it is one of the link-local routes, which the kernel makes for each link and which are useful only there. */
const isLinkLocal = ({ destination, destinationLength }: RouteMessage): boolean =>
  destination?.length === 16 &&
  destinationLength >= 10 &&
  destination[0] === 0xfe &&
  ((destination[1] ?? 0) & 0xc0) === 0x80;

/** Whether a route belongs to the address: its source or a gateway is in the address's subnet, or in no address's subnet. */
function belongsTo(route: RouteMessage, { prefix }: Address4Or6, all: readonly Address4Or6[]): boolean {
  if (route.family !== familyNumber(prefix.address)) return false;
  const named = [...(route.preferredSource ? [route.preferredSource] : []), ...gatewaysOf(route)];
  const liesIn = (subnet: Prefix) => named.some((address) => isIn(subnet, address));
  return liesIn(prefix) || !all.some((other) => liesIn(other.prefix));
}

const isIn = (subnet: Prefix, address: Address): boolean =>
  address.length === subnet.address.length && contains(networkOf(subnet), address);

/**
 * Returns a table's gateway and routes. The configuration's gateway replaces all default routes; the address's gateway is used if
 * there is no default route of the usual metric.
 */
function defaultsOf(
  { prefix, gateway }: Address4Or6,
  routes: RouteMessage[],
  { gateways }: Pick<SbrSettings, "gateways">,
): Pick<OwnTable, "gateway" | "routes"> {
  const wanted = gateways.find((one) => familyOf(one) === familyOf(prefix.address));
  if (wanted !== undefined) return { gateway: wanted, routes: routes.filter((route) => route.destinationLength > 0) };
  const has = routes.some(
    ({ destinationLength, tos, priority = 0 }) =>
      destinationLength === 0 && tos === 0 && priority === usualMetric(prefix),
  );
  return { gateway: has ? undefined : gateway, routes };
}

/** linux/ipv6_route.h: IP6_RT_PRIO_USER, the metric that the kernel sets when none is given. */
const usualMetric = ({ address }: Prefix): number => (familyOf(address) === "ipv4" ? 0 : 1024);

/** Whether the destination is on the link. IPv6 routes have no scope. */
const isOnLink = (route: RouteMessage): boolean =>
  route.family === AF_INET ? route.scope === RT_SCOPE_LINK : !hasGateway(route);

/** Returns the first address to whose subnet the route leads. */
function subnetAddress(route: RouteMessage, addresses: readonly Address4Or6[]): Address4Or6 | undefined {
  return addresses.find(
    ({ prefix }) =>
      route.family === familyNumber(prefix.address) &&
      formatPrefix(destinationOf(route)) === formatPrefix(networkOf(prefix)),
  );
}

/** Returns the result with its routes in the tables where they are now. */
export function resultIn({ tables, moved }: Plan, result: Result): Result {
  return { ...result, routes: result.routes.flatMap((route) => entriesOf(route, tables, moved)) };
}

function entriesOf(route: Route, tables: readonly OwnTable[], moved: readonly RouteMessage[]): Route[] {
  const gone = isInMain(route) ? moved.filter((one) => isRouteOfResult(one, route)) : [];
  if (gone.length === 0) return [route];
  const now = tables.filter(({ routes }) => routes.some((one) => gone.includes(one)));
  return now.length > 0 ? now.map(({ table }) => ({ ...route, table })) : replacements(route, tables);
}

const isInMain = ({ table = RT_TABLE_MAIN }: Route): boolean => table === RT_TABLE_MAIN;

/** Returns the default routes that replace one of the result when the configuration names another gateway. */
const replacements = (route: Route, tables: readonly OwnTable[]): Route[] =>
  tables.flatMap(({ table, gateway }) => {
    const isSuch = gateway !== undefined && familyOf(gateway) === (route.dst.includes(":") ? "ipv6" : "ipv4");
    return isSuch ? [{ ...route, gw: formatAddress(gateway), table }] : [];
  });
