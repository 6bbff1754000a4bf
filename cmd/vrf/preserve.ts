/**
 * Preserves what an interface loses when it joins or leaves a VRF, since the kernel sets it down and up again: all routes but those
 * to its subnets, which the kernel makes again, and IPv6 addresses unless `keep_addr_on_down` is set for it.
 */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { formatAddress, formatPrefix } from "../../pkg/ip/address.ts";
import { addListedAddress, listIPv6Addresses } from "../../pkg/link/address.ts";
import {
  appendListed,
  destinationOf,
  inOrder,
  leadsThrough,
  listRoutes,
  replaceListed,
  tableOf,
} from "../../pkg/link/route.ts";
import { findSysctl, trySysctl } from "../../pkg/link/sysctl.ts";
import type { VrfPort } from "../../pkg/link/vrf.ts";
import type { Connection, Request } from "../../pkg/netlink/connection.ts";
import { type AddressMessage, IFA_F_TENTATIVE } from "../../pkg/netlink/rtnetlink/address.ts";
import { AF_INET6 } from "../../pkg/netlink/rtnetlink/family.ts";
import {
  type RouteMessage,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_LOCAL,
  RTPROT_KERNEL,
} from "../../pkg/netlink/rtnetlink/route.ts";
import { monotonicMs, sleepMs } from "../../pkg/sys/clock.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { type Namespace, within } from "../../pkg/sys/namespace.ts";

interface Owner {
  netns: Namespace;
  /** Routing socket inside `netns`. */
  rtnl: Connection;
  link: VrfPort;
}

export interface PreservedConfig extends Owner {
  /** Global IPv6 addresses. */
  addresses: readonly AddressMessage[];
  /** Routes in an order in which they can be added. */
  routes: readonly RouteMessage[];
}

/** The reference plugins' timeout for duplicate address detection. */
const TIMEOUT_MS = 5000;

/** @param routes of the container. */
export function preservedConfig(owner: Owner, routes: readonly RouteMessage[]): PreservedConfig {
  const { rtnl, link } = owner;
  const isOwn = (one: RouteMessage) =>
    leadsThrough(one, link.index) && tableOf(one) !== RT_TABLE_LOCAL && one.protocol !== RTPROT_KERNEL;
  const addresses = listIPv6Addresses(rtnl, link.index).filter(({ scope }) => scope === RT_SCOPE_UNIVERSE);
  return { ...owner, addresses, routes: inOrder(routes.filter(isOwn)) };
}

/**
 * Runs `move`, which makes the interface join or leave a VRF, and restores its addresses and routes. Routes of the main table are
 * restored in `table`, others in their own table.
 *
 * @throws CniError 999: the kernel refuses an address or a route. 11: an address does not become usable
 */
export function preserveAcross(preserved: PreservedConfig, table: number, move: () => void): void {
  withoutDetection(preserved, () => {
    move();
    restoreAddresses(preserved);
    awaitUsable(preserved, table === RT_TABLE_MAIN ? RT_TABLE_LOCAL : table);
  });
  restoreRoutes(preserved, table);
}

/** Turns off a second duplicate address detection, which would make the addresses unusable for 1 to 2 s. */
function withoutDetection({ netns, link, addresses }: PreservedConfig, work: () => void): void {
  const name = `ipv6/conf/${link.name}/accept_dad`;
  const wasLooked = addresses.length > 0 && !addresses.some((one) => (flagsOf(one) & IFA_F_TENTATIVE) !== 0);
  const value = wasLooked ? within(netns, () => findSysctl(name)) : undefined;
  const set = (text: string | undefined) => {
    if (text !== undefined && value !== "0") within(netns, () => trySysctl(name, text));
  };
  set(value && "0");
  try {
    work();
  } finally {
    set(value);
  }
}

const flagsOf = ({ flags, longFlags }: AddressMessage): number => longFlags ?? flags;

function restoreAddresses({ rtnl, link, addresses }: PreservedConfig): void {
  if (addresses.length === 0) return;
  const kept = new Set(listIPv6Addresses(rtnl, link.index).map(textOf));
  const lost = addresses.filter((one) => !kept.has(textOf(one)));
  apply(
    rtnl,
    lost.map((one) => ({ what: `address ${textOf(one)} for ${link.name}`, request: addListedAddress(one) })),
  );
}

function textOf({ local, address, prefixLength: length }: AddressMessage): string {
  return formatPrefix({ address: local ?? address ?? new Uint8Array(16), length });
}

/** Waits for the addresses' own routes, which the kernel makes when they become usable. Without a carrier it does not, so no wait then. */
function awaitUsable({ rtnl, link, addresses }: PreservedConfig, table: number): void {
  if (!link.hasCarrier) return;
  const started = monotonicMs();
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, 10)) {
    const missing = addresses.length === 0 ? [] : withoutRoute({ rtnl, link, addresses }, table);
    const [first] = missing;
    if (first === undefined) return;
    if (monotonicMs() - started > TIMEOUT_MS) throw unusable(link, first, table);
    sleepMs(pauseMs);
  }
}

function withoutRoute(
  { rtnl, link, addresses }: Pick<PreservedConfig, "rtnl" | "link" | "addresses">,
  table: number,
): AddressMessage[] {
  const local = listRoutes(rtnl, AF_INET6, table).filter(
    (one) => one.type === RTN_LOCAL && leadsThrough(one, link.index),
  );
  const usable = new Set(local.map((one) => formatAddress(destinationOf(one).address)));
  return addresses.filter(({ local, address }) => !usable.has(formatAddress(local ?? address ?? new Uint8Array(16))));
}

function unusable(link: VrfPort, address: AddressMessage, table: number): CniError {
  return new CniError({
    code: ErrorCode.tryAgainLater,
    msg: `failed getting local/host addresses for ${link.name} in table ${table} with dst ${textOf(address)}`,
    details: `the kernel had not made the address usable after ${TIMEOUT_MS / 1000} s`,
    remedy: `see it in the container: ip -6 address show dev ${link.name}; an address with "dadfailed" is also used by another host`,
  });
}

function restoreRoutes({ rtnl, routes }: PreservedConfig, table: number): void {
  const known = new Set<string>();
  apply(
    rtnl,
    routes.map((one) => {
      const target = tableOf(one) === RT_TABLE_MAIN ? table : tableOf(one);
      const destination = formatPrefix(destinationOf(one));
      const key = [destination, one.tos, one.priority, target].join();
      const isFirst = !known.has(key); // further routes to the same destination with the same metric are added beside it
      known.add(key);
      const request = isFirst ? replaceListed(one, target) : appendListed(one, target);
      return { what: `route ${destination} to table ${target}`, request };
    }),
  );
}

function apply(rtnl: Connection, steps: readonly { what: string; request: Request }[]): void {
  const refusals = rtnl.attemptAll(steps.map(({ request }) => request));
  refusals.forEach((refusal, i) => {
    if (refusal === undefined || isErrno(refusal, "EEXIST")) return;
    throw new CniError({
      code: ErrorCode.internal,
      msg: `could not add ${steps[i]?.what}`,
      details: refusal.message,
      remedy: "see what the plugins before vrf have configured: ip address; ip route show table all",
      cause: refusal,
    });
  });
}
