/** Configures the container's end of an attachment: addresses, link up, routes. */

import { CniError, type CniErrorOptions, ErrorCode } from "../cni/error.ts";
import type { IpConfig, Result } from "../cni/result.ts";
import { type Address, formatPrefix, type Prefix, parseAddress, parseGateway, parsePrefix } from "../ip/address.ts";
import { familyOf } from "../ip/family.ts";
import type { Connection, NetlinkError, Request } from "../netlink/connection.ts";
import { IFA_F_DADFAILED, IFA_F_TENTATIVE } from "../netlink/rtnetlink/address.ts";
import { IF_OPER_UP } from "../netlink/rtnetlink/link.ts";
import { monotonicMs, sleepMs } from "../sys/clock.ts";
import { isErrno } from "../sys/errno.ts";
import { type Namespace, within } from "../sys/namespace.ts";
import { addAddress, addressesOf } from "./address.ts";
import { enableIPv6 } from "./ipv6.ts";
import { type Link, needLink, setUp } from "./link.ts";
import { macInUse } from "./mac-holder.ts";
import { addRoute } from "./route.ts";
import { findSysctl, trySysctl, writeSysctl } from "./sysctl.ts";

/** The longest wait for duplicate address detection, as in the reference plugins. */
const DAD_TIMEOUT_MS = 5000;
const DAD_POLL_MS = 10;

/** An address of a result, parsed. */
export interface Address4Or6 {
  prefix: Prefix;
  gateway: Address | undefined;
}

/** What was parsed already, by the result's entry: each part of an ADD asks for the same addresses. */
const parsed = new WeakMap<IpConfig, Address4Or6>();

/** Parses an address of a result. @throws CniError 6: the IPAM plugin's address or gateway is not an IP address */
export function addressOf(ip: IpConfig): Address4Or6 {
  const found = parsed.get(ip) ?? parseIpConfig(ip);
  parsed.set(ip, found);
  return found;
}

function parseIpConfig({ address, gateway }: IpConfig): Address4Or6 {
  const prefix = parsePrefix(address);
  if (prefix === undefined) throw unreadable("address", address);
  const parsedGateway = gateway ? parseAddress(gateway) : undefined; // "" is none, as in the reference plugins
  if (gateway && parsedGateway === undefined) throw unreadable("gateway", gateway);
  return { prefix, gateway: parsedGateway };
}

export const prefixesOf = ({ ips }: Pick<Result, "ips">): Prefix[] => ips.map((ip) => addressOf(ip).prefix);

function unreadable(what: string, text: string): CniError {
  return new CniError({
    code: ErrorCode.decoding,
    msg: `${what} "${text}" of the IPAM plugin's result is not an IP address`,
    remedy: "report it to the authors of the IPAM plugin",
  });
}

/**
 * Whether the kernel performs duplicate address detection for IPv6, which takes a second or two: "none"; "awaited", ADD waits for its
 * end; "later", ADD does not wait, for links on which nothing can be received yet.
 */
export type DuplicateDetection = "none" | "awaited" | "later";

export interface Container {
  netns: Namespace;
  /** The rtnetlink socket inside `netns`. */
  rtnl: Connection;
  link: Link;
  /** Sysctls to write before the interface has addresses, by path below /proc/sys/net; refusals are ignored. */
  sysctls: Readonly<Record<string, string>>;
  duplicates?: DuplicateDetection;
}

/** One request about a link. */
export interface ConfigTask {
  /** The text for messages, such as `address 10.1.0.5/24`. */
  what: string;
  request: Request;
  /** The error for EEXIST; unless given, it is reported as a duplicate in the result. */
  whenExists?: Pick<CniErrorOptions, "msg" | "remedy">;
}

/**
 * Writes the sysctls, adds the addresses, sets the interface up, waits until IPv6 addresses are usable, adds the routes.
 *
 * @param more Further tasks, which are sent before or after the routes.
 * @throws CniError 999: the kernel refuses an address or a route, or another host has an IPv6 address
 */
export function configure(
  container: Container,
  result: Pick<Result, "ips" | "routes">,
  more: MoreTasks = NO_MORE,
): void {
  const { netns, link } = container;
  const prefixes = prefixesOf(result);
  const hasIPv6 = prefixes.some(({ address }) => familyOf(address) === "ipv6");
  const sysctls = Object.entries(container.sysctls);
  if (hasIPv6 || sysctls.length > 0) {
    within(netns, () => {
      for (const [name, value] of sysctls) trySysctl(name, value);
      if (hasIPv6) prepareIPv6(link, prefixes);
    });
  }
  sendConfiguration(container, result, more);
}

interface MoreTasks {
  beforeRoutes: readonly ConfigTask[];
  afterRoutes: readonly ConfigTask[];
}
const NO_MORE: MoreTasks = { beforeRoutes: [], afterRoutes: [] };

/** Performs what of `configure` goes through rtnetlink. */
export function sendConfiguration(
  { rtnl, link, duplicates = "awaited" }: Pick<Container, "rtnl" | "link" | "duplicates">,
  result: Pick<Result, "ips" | "routes">,
  more: MoreTasks = NO_MORE,
): void {
  const addresses = result.ips.map(addressOf);
  const first: ConfigTask[] = addresses.map(({ prefix }) =>
    addressTask(link.index, prefix, { withoutDetection: duplicates === "none" }),
  );
  first.push({ what: "state up", request: setUp(link.index) });
  const routes = result.routes.map(
    (one): ConfigTask => ({ what: routeText(one), request: routeRequest(link.index, one, addresses) }),
  );
  const then = [...more.beforeRoutes, ...routes, ...more.afterRoutes];
  if (
    duplicates === "awaited" &&
    addresses.some(({ gateway }) => gateway !== undefined && familyOf(gateway) === "ipv6")
  ) {
    performTasks(rtnl, link, first);
    settle(rtnl, link);
    performTasks(rtnl, link, then);
  } else {
    performTasks(rtnl, link, [...first, ...then]);
  }
}

export const addressTask = (index: number, prefix: Prefix, options: { withoutDetection: boolean }): ConfigTask => ({
  what: `address ${formatPrefix(prefix)}`,
  request: addAddress(index, prefix, options),
});

/** Performs all tasks with one send. @throws CniError 999: the first refusal, with the task's text */
export function performTasks(rtnl: Connection, link: Link, tasks: readonly ConfigTask[]): void {
  const outcomes = rtnl.attemptAll(tasks.map((task) => task.request));
  outcomes.forEach((refusal, i) => {
    if (refusal !== undefined) throw refused(link, tasks[i], refusal);
  });
}

function refused(link: Link, task: ConfigTask | undefined, refusal: NetlinkError): CniError {
  const { what = "", whenExists } = task ?? {};
  const remedies = {
    EEXIST: "remove the duplicate from the IPAM plugin's result",
    ENETUNREACH:
      "set a gateway that lies in one of the interface's subnets, or a route of scope link (253) to it first",
    EINVAL: "check destination and gateway: both must have the same family, and the destination no host bits",
  } as const;
  const isMacTaken = isErrno(refusal, "EADDRINUSE") && link.kind === "macvlan";
  const known = (["EEXIST", "ENETUNREACH", "EINVAL"] as const).find((name) => isErrno(refusal, name));
  return new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses ${what} on "${link.name}"`,
    remedy: known === undefined ? `see the interface's state: ip address show dev ${link.name}` : remedies[known],
    ...(isMacTaken && { msg: `MAC ${link.mac} of "${link.name}" is in use on its master`, remedy: macInUse(link.mac) }),
    ...(known === "EEXIST" && whenExists),
    details: refusal.message,
    cause: refusal,
  });
}

function routeText({ dst, gw }: Result["routes"][number]): string {
  return `route ${dst}${gw === undefined ? "" : ` via ${gw}`}`;
}

/** Returns the request for a route of the result. One without gateway gets the first gateway of its family. */
function routeRequest(index: number, route: Result["routes"][number], addresses: readonly Address4Or6[]): Request {
  const destination = parsePrefix(route.dst);
  if (destination === undefined) throw unreadable("route destination", route.dst);
  const { gw } = route;
  if (gw !== undefined && parseAddress(gw) === undefined) throw unreadable("route gateway", gw);
  const family = familyOf(destination.address);
  const gateway =
    gw === undefined
      ? addresses.find((one) => one.gateway !== undefined && familyOf(one.gateway) === family)?.gateway
      : parseGateway(gw);
  return addRoute(index, {
    destination,
    gateway,
    priority: route.priority || undefined,
    table: route.table,
    scope: route.scope,
    mtu: route.mtu,
    advertisedMss: route.advmss,
  });
}

/** Enables IPv6 on lo and the interface, whose addresses stay when it is down for a moment. */
function prepareIPv6(link: Link, prefixes: readonly Prefix[]): void {
  enableIPv6(link, prefixes);
  if (findSysctl(LO_DISABLED) === "1") writeSysctl(LO_DISABLED, "0");
  writeSysctl(`ipv6/conf/${link.name}/keep_addr_on_down`, "1");
}
const LO_DISABLED = "ipv6/conf/lo/disable_ipv6";

/** Waits for the end of duplicate address detection. On a link without carrier it never ends; that is no error after the timeout. */
function settle(rtnl: Connection, link: Link): void {
  const started = monotonicMs();
  for (;;) {
    const addresses = addressesOf(rtnl, link.index);
    const duplicate = addresses.find(({ flags }) => (flags & IFA_F_DADFAILED) !== 0);
    if (duplicate !== undefined) throw taken(link, duplicate.prefix);
    const tentative = addresses.find(({ flags }) => (flags & IFA_F_TENTATIVE) !== 0);
    if (tentative === undefined) return;
    if (monotonicMs() - started > DAD_TIMEOUT_MS) {
      if (needLink(rtnl, link.index).operState !== IF_OPER_UP) return;
      throw stillTentative(link, tentative.prefix);
    }
    sleepMs(DAD_POLL_MS);
  }
}

function taken(link: Link, prefix: Prefix): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `address ${formatPrefix(prefix)} of "${link.name}" is used by another host on the link`,
    details: "duplicate address detection failed",
    remedy: "find the other host (tcpdump shows its neighbour advertisements), or exclude the address from the range",
  });
}

function stillTentative(link: Link, prefix: Prefix): CniError {
  return new CniError({
    code: ErrorCode.tryAgainLater,
    msg: `address ${formatPrefix(prefix)} of "${link.name}" is still tentative after ${DAD_TIMEOUT_MS / 1000} s`,
    details: "duplicate address detection has not finished",
    remedy: "try again; if it happens again, check net.ipv6.conf.*.dad_transmits in the container",
  });
}
