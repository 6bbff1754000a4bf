/**
 * `ip route add blackhole <own subnet>`: what is sent to addresses of this host that no container has ends here, instead of going out by the default
 * route and coming back. For hosts whose containers are not on a bridge that holds the subnet.
 */
import { networkOf, type Prefix } from "../ip/address.ts";
import { familyNumber } from "../link/address.ts";
import { type Connection, NETLINK_ROUTE, type Request, request } from "../netlink/connection.ts";
import { type Frame, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/frame.ts";
import { RTM_DELLINK, RTM_NEWLINK } from "../netlink/rtnetlink/link.ts";
import {
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  RTN_BLACKHOLE,
  RTPROT_BOOT,
  routeMessage,
} from "../netlink/rtnetlink/route.ts";
import { RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE, RTMGRP_LINK, watch } from "../netlink/watch.ts";
import type { Log } from "../observe/log.ts";
import { isErrno } from "../sys/errno.ts";
import { complainer } from "./complaint.ts";

/**
 * Keeps a blackhole route for each subnet, from now on until the end is called, which leaves them. A subnet that another route of the same metric leads to
 * (IPv4, that of a bridge) keeps that one, until it goes. What fails is told, and tried again.
 *
 * @returns ends it
 */
export function keepBlackhole(
  route: Connection,
  subnets: readonly Prefix[],
  { periodMs, log }: { periodMs: number; log: Log },
): () => void {
  const complain = complainer(log, "the blackhole route of this host's subnet cannot be kept: tried again");
  const ensureAll = () =>
    complain(() => {
      for (const subnet of subnets) ensureBlackhole(route, subnet);
    });
  const stopWatching = watch(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE, {
    messages: (frames) => frames.some(mayTakeRoutes) && ensureAll(),
    lost: ensureAll,
  });
  ensureAll();
  const resync = setInterval(ensureAll, periodMs);
  return () => {
    stopWatching();
    clearInterval(resync);
  };
}

/** Its route is there already (EEXIST), or that of a bridge: who is not there does not answer there. */
function ensureBlackhole(route: Connection, subnet: Prefix): void {
  try {
    route.request(addBlackhole(subnet));
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
}

/** Never without NLM_F_EXCL: the kernel would put it before the route of a bridge, and all containers would be cut off. */
function addBlackhole(subnet: Prefix): Request {
  const { address: destination, length: destinationLength } = networkOf(subnet);
  return request({
    name: "RTM_NEWROUTE",
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    table: routeMessage,
    value: {
      family: familyNumber(destination),
      destinationLength,
      table: RT_TABLE_MAIN,
      protocol: RTPROT_BOOT,
      scope: RT_SCOPE_UNIVERSE,
      type: RTN_BLACKHOLE,
      destination,
    },
  });
}

/** With a link go its routes, those of IPv4 without a word. To try costs less than to look what it was. */
const mayTakeRoutes = ({ type }: Frame): boolean =>
  type === RTM_DELROUTE || type === RTM_NEWLINK || type === RTM_DELLINK;
