/**
 * Keeps `ip route add blackhole <own subnet>`: packets to addresses of this host's subnet that no container has are dropped here, instead
 * of leaving by the default route and coming back. For hosts whose containers are not on a bridge.
 *
 * If the subnet has another route, such as a bridge's, the blackhole is removed: the kernel puts a bridge's IPv4 route behind an existing
 * one, and all containers would be cut off. flannel keeps its blackhole for ever.
 */

import {
  RTMGRP_IPV4_ROUTE,
  RTMGRP_IPV6_ROUTE,
  RTMGRP_LINK,
  watchNetlink,
} from "../../cluster/event-loop/netlink-watch.ts";
import {
  type PassOutcome,
  type ReconcileLoop,
  type ReconcileOptions,
  startReconcileLoop,
} from "../../cluster/event-loop/reconcile-loop.ts";
import type { Log } from "../../cluster/log/log.ts";
import { failureOf } from "../../cni/error.ts";
import { formatPrefix, networkOf, type Prefix } from "../../ip/address.ts";
import { familyNumber } from "../../link/address.ts";
import { listRoutes } from "../../link/route.ts";
import { type Connection, NETLINK_ROUTE, type Request, request } from "../../netlink/connection.ts";
import { decode } from "../../netlink/message.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Nlmsg } from "../../netlink/nlmsg.ts";
import { RTM_DELLINK, RTM_NEWLINK } from "../../netlink/rtnetlink/link.ts";
import {
  type RouteMessage,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  RTN_BLACKHOLE,
  RTPROT_BOOT,
  routeMessage,
} from "../../netlink/rtnetlink/route.ts";
import { isErrno } from "../../sys/errno.ts";

/** A container that is added or deleted causes a dozen messages. */
const BURST_MS = 50;
/** Short, since a blackhole that has to give way to a bridge's route cuts containers off. */
const LONGEST_PAUSE_MS = 1000;

export interface BlackholeOptions {
  /** The period of checks without a reported change. */
  resyncMs: number;
  log: Log;
  passed?(outcome: PassOutcome, seconds: number): void;
}

/** Keeps a blackhole route for each subnet; the routes stay when it ends. Failures are logged and tried again. */
export function startBlackholeLoop(
  rtnl: Connection,
  subnets: readonly Prefix[],
  { resyncMs, log, passed }: BlackholeOptions,
  { watch, clock }: Partial<Pick<ReconcileOptions, "watch" | "clock">> = {},
): ReconcileLoop {
  /** The subnets whose blackhole was there after the last pass. */
  let kept: ReadonlySet<Prefix> = new Set();
  const loop = startReconcileLoop({
    debounce: { quietMs: BURST_MS, latestMs: BURST_MS },
    resyncMs,
    longestPauseMs: LONGEST_PAUSE_MS,
    longestRetryMs: resyncMs,
    watch:
      watch ?? ((handler) => watchNetlink(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE, handler)),
    isRelevant: (nlmsg) => mayConcern(subnets, nlmsg),
    reconcile() {
      const outcomes = subnets.map((subnet) => ({ subnet, outcome: ensureBlackhole(rtnl, subnet) }));
      const repaired = outcomes.filter(({ subnet, outcome }) => outcome === "added" && kept.has(subnet)).length;
      kept = new Set(outcomes.flatMap(({ subnet, outcome }) => (outcome === "none" ? [] : [subnet])));
      return { repaired };
    },
    failed: (error) =>
      log.error("cannot maintain the blackhole route of this host's subnet: retrying", {
        error: failureOf(error).message,
      }),
    undone: () =>
      log.warn(
        "another process keeps deleting the blackhole route of this host's subnet. To find it: `ip monitor route` shows each change; without --ip-blackhole-route there is no such route",
      ),
    ...(passed && { passed }),
    ...(clock && { clock }),
  });
  loop.askNow();
  return loop;
}

/** Reports whether a message may require a change. A link that goes down loses its routes, those of IPv4 without a message. */
function mayConcern(subnets: readonly Prefix[], { type, body }: Nlmsg): boolean {
  if (type === RTM_NEWLINK || type === RTM_DELLINK) return true;
  if (type !== RTM_NEWROUTE && type !== RTM_DELROUTE) return false;
  const route = decode(routeMessage, body);
  return subnets.some((subnet) => leadsTo(subnet, route));
}

function leadsTo(subnet: Prefix, { destination, destinationLength: length }: RouteMessage): boolean {
  return (
    destination !== undefined && formatPrefix({ address: destination, length }) === formatPrefix(networkOf(subnet))
  );
}

/** @returns whether the subnet has a blackhole now */
function ensureBlackhole(rtnl: Connection, subnet: Prefix): "added" | "kept" | "none" {
  const routes = listRoutes(rtnl, familyNumber(subnet.address)).filter((one) => leadsTo(subnet, one));
  const blackholes = routes.filter(({ type }) => type === RTN_BLACKHOLE);
  if (routes.length === 0) {
    attempt(rtnl, addBlackhole(subnet), "EEXIST");
    return "added";
  }
  if (routes.length === blackholes.length) return "kept";
  for (const one of blackholes) attempt(rtnl, deleteBlackhole(subnet, one), "ESRCH");
  return "none";
}

/** @param done The error that means that another program has done it already. */
function attempt(rtnl: Connection, request: Request, done: "EEXIST" | "ESRCH"): void {
  try {
    rtnl.request(request);
  } catch (error) {
    if (!isErrno(error, done)) throw error;
  }
}

/** Adds the route. Without NLM_F_EXCL the kernel would put it before a route that was added meanwhile. */
const addBlackhole = (subnet: Prefix): Request =>
  request({
    name: "RTM_NEWROUTE",
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    table: routeMessage,
    value: { ...blackhole(subnet), protocol: RTPROT_BOOT, scope: RT_SCOPE_UNIVERSE },
  });

const deleteBlackhole = (subnet: Prefix, { scope, priority }: RouteMessage): Request =>
  request({
    name: "RTM_DELROUTE",
    type: RTM_DELROUTE,
    table: routeMessage,
    value: { ...blackhole(subnet), scope, priority },
  });

function blackhole(subnet: Prefix) {
  const { address: destination, length: destinationLength } = networkOf(subnet);
  const family = familyNumber(destination);
  return { family, destinationLength, table: RT_TABLE_MAIN, type: RTN_BLACKHOLE, destination };
}
