/** What CHECK compares: the container's interface, its addresses and routes, with what ADD answered. */
import { delegateCheck } from "../cni/delegate.ts";
import { CniError, ErrorCode } from "../cni/error.ts";
import type { Attachment } from "../cni/plugin.ts";
import { needPrevResult } from "../cni/prev-result.ts";
import type { Interface, Result } from "../cni/result.ts";
import { compareAddresses, formatPrefix, networkOf, type Prefix, parseAddress, parsePrefix } from "../ip/address.ts";
import type { Connection } from "../netlink/connection.ts";
import { type RouteMessage, RT_TABLE_LOCAL } from "../netlink/rtnetlink/route.ts";
import { openNamespace } from "../sys/namespace.ts";
import { addressesOf, samePrefix } from "./address.ts";
import { findLink, type Link, openRoute } from "./link.ts";
import { destinationOf, gatewaysOf, listAllRoutes, tableOf } from "./route.ts";

const REMEDY = "delete the attachment and add it again (DEL, then ADD with the same container ID and interface name)";

/** An attachment is not what ADD made. */
export function checkFailure(msg: string): CniError {
  return new CniError({ code: ErrorCode.internal, msg, details: "found by CHECK", remedy: REMEDY });
}

/** The entry of the attachment's own interface: the last one of its name and namespace. */
export function needOwnInterface({ interfaces }: Result, { ifName, netns }: Attachment<unknown>): Interface {
  const own = interfaces.findLast((entry) => entry.name === ifName && entry.sandbox === netns);
  if (own !== undefined) return own;
  const others = interfaces.filter((entry) => entry.name === ifName).map((entry) => entry.sandbox ?? "the host");
  throw checkFailure(
    `prevResult has no interface "${ifName}" with sandbox ${netns}${others.length > 0 ? `, only in ${others.join(", ")}` : ""}`,
  );
}

/** What CHECK of a plugin finds, after the general questions. */
export interface Checked {
  result: Result;
  /** Routing socket of the container. */
  container: Connection;
  link: Link;
}

/**
 * What the CHECKs of all plugins that make an interface have in common: IPAM's, then the container's interface, its addresses and its
 * routes as the result has them.
 *
 * @param options.kind Of the interface; whatever it is where absent.
 * @param options.hasAddresses Whether it is looked for addresses and routes; with IPAM unless given.
 * @throws CniError 999: they differ. CniError of the IPAM plugin.
 */
export function checkContainer(
  attachment: Attachment<unknown>,
  {
    ipam,
    kind,
    hasAddresses = ipam !== undefined,
  }: { ipam?: string | undefined; kind?: string; hasAddresses?: boolean },
): Checked {
  if (ipam !== undefined) delegateCheck(attachment, ipam);
  const result = needPrevResult(attachment);
  const own = needOwnInterface(result, attachment);
  const netns = openNamespace(attachment.netns ?? "");
  const container = openRoute(netns);
  const link = needSameLink(container, own, kind, `in ${netns.path}`);
  if (hasAddresses) {
    if (!link.up) throw checkFailure(`interface "${link.name}" in ${netns.path} is down, must be up`); // which takes the routes away
    const routes = listAllRoutes(container);
    checkAddresses(container, link, routes, result);
    checkRoutes(routes, result);
  }
  return { result, container, link };
}

/** The link that an entry of the result stands for: of this kind, if one is named, with the MAC that ADD saw. */
export function needSameLink(
  route: Connection,
  { name, mac }: Interface,
  kind: string | undefined,
  where: string,
): Link {
  const link = findLink(route, name);
  if (link === undefined) throw checkFailure(`interface "${name}" is missing ${where}`);
  if (kind !== undefined && link.kind !== kind)
    throw checkFailure(`interface "${name}" ${where} is of kind "${link.kind}", not "${kind}"`);
  if (mac !== undefined && mac !== "" && mac.toLowerCase() !== link.mac) {
    throw checkFailure(`interface "${name}" ${where} has MAC ${link.mac}, not ${mac}`);
  }
  return link;
}

/** The other end of the container's veth: one of the host's interfaces in the result. */
export function needHostsEnd(host: Connection, inside: Link, { interfaces }: Result): Link {
  const ends = interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => findLink(host, name));
  const end = ends.find((link) => link?.kind === "veth" && link.index === inside.parent);
  if (end === undefined) throw checkFailure(`the host's end of "${inside.name}" is missing`);
  return end;
}

/**
 * Every address of the result that belongs to this interface is on it, with its subnet's route: in whatever table, since plugins that
 * come later in the chain (sbr, vrf) may move it.
 */
function checkAddresses(
  route: Connection,
  link: Link,
  routes: readonly RouteMessage[],
  { ips, interfaces }: Result,
): void {
  const found = addressesOf(route, link.index).map(({ prefix }) => prefix);
  for (const { address, interface: index } of ips) {
    if (index !== undefined && interfaces[index] !== undefined && interfaces[index].name !== link.name) continue;
    const wanted = parsePrefix(address);
    if (wanted === undefined)
      throw checkFailure(`prevResult has "${address}", which is not an IP address with prefix length`);
    if (!found.some((prefix) => samePrefix(prefix, wanted))) {
      throw checkFailure(
        `address ${address} is not on "${link.name}", only ${found.map(formatPrefix).join(", ") || "none"}`,
      );
    }
    const single = wanted.length === 8 * wanted.address.length; // has no subnet to route to
    if (!single && !hasRoute(routes, networkOf(wanted))) {
      throw checkFailure(`the route to ${formatPrefix(networkOf(wanted))}, the subnet of ${address}, is missing`);
    }
  }
}

/**
 * Every route of the result is there, with its gateway unless it is a default route; in its table if the result names one, in any
 * otherwise: later plugins that move routes need not say so.
 */
function checkRoutes(all: readonly RouteMessage[], { routes }: Result): void {
  for (const { dst, gw, table } of routes) {
    const destination = parsePrefix(dst);
    if (destination === undefined) throw checkFailure(`prevResult has a route to "${dst}", which is not a subnet`);
    const known = all.filter((route) => tableOf(route) === (table || tableOf(route)));
    const gateway = gw === undefined || destination.length === 0 ? undefined : parseAddress(gw);
    if (!hasRoute(known, networkOf(destination), gateway)) {
      throw checkFailure(
        `route ${dst}${gw === undefined ? "" : ` via ${gw}`} is missing${table ? ` in table ${table}` : ""}`,
      );
    }
  }
}

function hasRoute(routes: readonly RouteMessage[], wanted: Prefix, gateway?: Uint8Array): boolean {
  return routes.some((route) => {
    if (tableOf(route) === RT_TABLE_LOCAL || !samePrefix(destinationOf(route), wanted)) return false;
    return gateway === undefined || gatewaysOf(route).some((one) => compareAddresses(one, gateway) === 0);
  });
}
