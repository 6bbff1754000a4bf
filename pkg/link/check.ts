/** The comparison of CHECK: the container's interface, its addresses and routes, with the result of ADD. */
import * as ipam from "../cni/call-ipam.ts";
import { CniError, ErrorCode } from "../cni/error.ts";
import type { Attachment } from "../cni/plugin.ts";
import { needPrevResult } from "../cni/prev-result.ts";
import type { Interface, Result } from "../cni/result.ts";
import { compareAddresses, formatPrefix, networkOf, type Prefix, parseGateway, parsePrefix } from "../ip/address.ts";
import type { Connection } from "../netlink/connection.ts";
import { type RouteMessage, RT_TABLE_LOCAL } from "../netlink/rtnetlink/route.ts";
import { isSameNamespace, openNamespace } from "../sys/namespace.ts";
import { addressesOf, samePrefix } from "./address.ts";
import { findLink, type Link, openRtnetlink } from "./link.ts";
import { destinationOf, gatewaysOf, listAllRoutes, tableOf } from "./route.ts";

const REMEDY = "delete the attachment and add it again (DEL, then ADD with the same container ID and interface name)";

/** Returns the error for an attachment that is not as ADD made it. */
export function checkFailure(msg: string, remedy = REMEDY): CniError {
  return new CniError({ code: ErrorCode.internal, msg, details: "found by CHECK", remedy });
}

/** Returns the error for rules of the host's firewall, which come back without the container's end. */
export const lostRule = (msg: string): CniError => checkFailure(msg, `restore it: twill reload; otherwise ${REMEDY}`);

/** Returns the result's entry of the attachment's interface: the last one with its name and namespace. */
function needOwnInterface({ interfaces }: Result, { ifName, netns }: Attachment<unknown>): Interface {
  const isHere = (sandbox = "") => sandbox === netns || (sandbox !== "" && isSameNamespace(sandbox, netns ?? ""));
  const own = interfaces.findLast((entry) => entry.name === ifName && isHere(entry.sandbox));
  if (own !== undefined) return own;
  const others = interfaces.filter((entry) => entry.name === ifName).map((entry) => entry.sandbox ?? "the host");
  throw checkFailure(
    `prevResult has no interface "${ifName}" with sandbox ${netns}${others.length > 0 ? `, only in ${others.join(", ")}` : ""}`,
  );
}

/** The objects that the common part of CHECK has opened, for the plugin's own part. */
export interface Checked {
  result: Result;
  /** The rtnetlink socket of the container. */
  container: Connection;
  link: Link;
}

/**
 * Performs the part of CHECK that all plugins with an interface have in common: calls IPAM's CHECK, then compares the container's
 * interface, its addresses and its routes with the result.
 *
 * @param options.kind The required kind of the interface; any kind when absent.
 * @param options.hasAddresses Whether addresses and routes are compared; by default when there is IPAM.
 * @throws CniError 999: they differ. CniError of the IPAM plugin.
 */
export function checkContainer(
  attachment: Attachment<ipam.WithIpam>,
  { kind, hasAddresses = ipam.typeOf(attachment.conf) !== undefined }: { kind?: string; hasAddresses?: boolean } = {},
): Checked {
  ipam.check(attachment);
  const result = needPrevResult(attachment);
  const own = needOwnInterface(result, attachment);
  const netns = openNamespace(attachment.netns ?? "");
  const container = openRtnetlink(netns);
  const link = needSameLink(container, own, kind, `in ${netns.path}`);
  if (hasAddresses) checkConfiguration({ result, container, link }, netns.path);
  return { result, container, link };
}

/** Checks that a link is up and has the addresses and routes of the result. @throws CniError 999: it has not */
export function checkConfiguration({ result, container, link }: Checked, netns: string): void {
  if (!link.up) throw checkFailure(`interface "${link.name}" in ${netns} is down, must be up`); // its routes are gone
  const routes = listAllRoutes(container);
  checkAddresses(container, link, routes, result);
  checkRoutes(routes, result);
}

/** Returns the link of a result's entry. @throws CniError 999: it is missing, or its kind or MAC is another one */
export function needSameLink(
  rtnl: Connection,
  { name, mac }: Interface,
  kind: string | undefined,
  where: string,
): Link {
  const link = findLink(rtnl, name);
  if (link === undefined) throw checkFailure(`interface "${name}" is missing ${where}`);
  if (kind !== undefined && link.kind !== kind)
    throw checkFailure(`interface "${name}" ${where} is of kind "${link.kind}", not "${kind}"`);
  if (mac !== undefined && mac !== "" && mac.toLowerCase() !== link.mac) {
    throw checkFailure(`interface "${name}" ${where} has MAC ${link.mac}, not ${mac}`);
  }
  return link;
}

/** Returns the host's end of the container's veth, which has to be one of the host's interfaces in the result. */
export function needHostsEnd(host: Connection, inside: Link, { interfaces }: Result): Link {
  const ends = interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => findLink(host, name));
  const end = ends.find((link) => link?.kind === "veth" && link.index === inside.parent);
  if (end === undefined) throw checkFailure(`the host end of "${inside.name}" is missing`);
  return end;
}

/**
 * Checks that every address of the result that belongs to this interface is on it, and that its subnet's route exists: in any table, since
 * plugins that come later in the chain (sbr, vrf) may move the route.
 */
function checkAddresses(
  rtnl: Connection,
  link: Link,
  routes: readonly RouteMessage[],
  { ips, interfaces }: Result,
): void {
  const found = addressesOf(rtnl, link.index).map(({ prefix }) => prefix);
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
    const single = wanted.length === 8 * wanted.address.length; // a single address has no subnet route
    if (!single && !hasRoute(routes, networkOf(wanted))) {
      throw checkFailure(`the route to ${formatPrefix(networkOf(wanted))}, the subnet of ${address}, is missing`);
    }
  }
}

/**
 * Checks that every route of the result exists, with its gateway unless it is a default route; in its table if the result names one, else
 * in any table: later plugins that move routes do not have to put it into the result.
 */
function checkRoutes(all: readonly RouteMessage[], { routes }: Result): void {
  for (const { dst, gw, table } of routes) {
    const destination = parsePrefix(dst);
    if (destination === undefined) throw checkFailure(`prevResult has a route to "${dst}", which is not a subnet`);
    const known = all.filter((route) => tableOf(route) === (table || tableOf(route)));
    const gateway = gw === undefined || destination.length === 0 ? undefined : parseGateway(gw);
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
