/**
 * Links that have a parent link: macvlan, ipvlan, vlan. Configurations call the parent "master", a word that `ip` has for bridges; in the
 * kernel it is the parent.
 */

import type { IpamResult } from "../cni/call-ipam.ts";
import { CniError, ErrorCode, invalidConf } from "../cni/error.ts";
import { orNotAvailable } from "../cni/status.ts";
import type { JsonSchema } from "../config/schema.ts";
import { type Connection, NetlinkError } from "../netlink/connection.ts";
import { AF_INET, AF_INET6 } from "../netlink/rtnetlink/family.ts";
import type { RouteMessage } from "../netlink/rtnetlink/route.ts";
import { isErrno } from "../sys/errno.ts";
import { type Checked, checkFailure } from "./check.ts";
import { createLink, type LinkRef, type NewLink } from "./create.ts";
import { findLink, type Link, openRtnetlink } from "./link.ts";
import { listRoutes } from "./route.ts";

/** The configuration keys that the three plugins share. */
export const parentProperties = {
  master: {
    type: "string",
    format: "linkName",
    description: "the parent link; by default the link of the default route",
  },
  linkInContainer: { type: "boolean", description: "the master is in the container's namespace, not on the host" },
  mtu: { type: "integer", description: "MTU of the link, at most the master's; 0, the default, means the master's" },
} as const satisfies Record<string, JsonSchema>;

export interface ParentSelector {
  master?: string | undefined;
  linkInContainer?: boolean | undefined;
  mtu?: number | undefined;
}

export interface Parent {
  /** The rtnetlink socket of its namespace. */
  rtnl: Connection;
  link: Link;
  /** The configured MTU of its children; 0: the parent's. */
  mtu: number;
}

/** The attributes of a child that do not depend on its parent. */
export type ChildLink = Omit<NewLink, "parent" | "mtu">;

/**
 * Returns the parent that a configuration names, or the link of the default route.
 *
 * @param host Opens the rtnetlink socket of the host.
 * @throws CniError 999: there is none. CniError 7: it cannot carry packets of that MTU
 */
export function needParent(
  { master = "", linkInContainer = false, mtu = 0 }: ParentSelector,
  container: Connection,
  host: () => Connection = openRtnetlink,
): Parent {
  const where = linkInContainer ? "in the container" : "on the host";
  const rtnl = linkInContainer ? container : host();
  const link = master === "" ? findDefault(rtnl) : findLink(rtnl, master);
  if (link === undefined) throw master === "" ? noDefault(where) : missing(master, where);
  if (mtu < 0 || mtu > link.mtu) {
    throw invalidConf(
      `invalid MTU ${mtu}, must be [0, master MTU(${link.mtu})]`,
      `lower "mtu", remove it to use the master's, or raise the master's MTU (ip link set ${link.name} mtu ${mtu}) where the network carries it`,
    );
  }
  return { rtnl, link, mtu };
}

/** Returns the link of the default route: IPv4 before IPv6, the lowest metric first, which is the kernel's order. */
function findDefault(rtnl: Connection): Link | undefined {
  for (const family of [AF_INET, AF_INET6]) {
    const first = listRoutes(rtnl, family).find((one) => one.destinationLength === 0 && outputOf(one) !== 0);
    const link = first && findLink(rtnl, outputOf(first));
    if (link !== undefined) return link;
  }
  return undefined;
}

/** Returns the link's index, that of the first next hop; 0 when the route has none ("unreachable default"). */
const outputOf = ({ outputIndex, multipath }: RouteMessage): number => outputIndex ?? multipath?.[0]?.index ?? 0;

function noDefault(where: string): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: "no default route interface found",
    details: `"master" is not set, and there is no default route ${where}`,
    remedy: `set "master" to the interface that leads to the network`,
  });
}

function missing(master: string, where: string): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `failed to lookup master "${master}": there is no such link ${where}`,
    remedy: `set "master" to an existing link (ip link), or "linkInContainer" according to the namespace that it is in`,
  });
}

/** Checks for STATUS that the parent exists. A parent in the container is not checked: each container has its own. */
export function parentStatus<Conf extends ParentSelector>(
  conf: Conf,
  need: (conf: Conf, host: Connection) => Parent = needParent,
): void {
  if (conf.linkInContainer) return;
  orNotAvailable(() => need(conf, openRtnetlink()));
}

/** Creates a link on the parent, down, with the parent's MTU unless another one is configured. @throws CniError 999: the kernel refuses */
export function createChild(place: LinkRef, { rtnl, link: parent, mtu }: Parent, link: ChildLink): Link {
  try {
    return createLink(place, { ...link, mtu, parent: { rtnl, index: parent.index } });
  } catch (error) {
    throw explained(error, parent, link.linkInfo);
  }
}

/** Returns the error with the meaning that the kernel's errno has here. */
function explained(error: unknown, { name }: Link, { kind, data }: NewLink["linkInfo"]): unknown {
  if (!(error instanceof CniError) || !(error.cause instanceof NetlinkError)) return error;
  const { cause } = error;
  const told = (msg: string, remedy: string) =>
    new CniError({ code: ErrorCode.internal, msg, details: cause.message, remedy, cause });
  if (isErrno(cause, "EBUSY")) {
    return told(
      `master "${name}" cannot carry ${kind} links, because it is already used in another way`,
      `it can carry either macvlan or ipvlan links, and neither while it is a port of a bridge, bond or team: use another master, or the kind that it already carries (ip -d link show dev ${name}; ip -d link show type macvlan, here and in the containers)`,
    );
  }
  if (kind === "macvlan" && isErrno(cause, "EINVAL")) {
    return told(
      `master "${name}" cannot carry another macvlan link`,
      `a link of mode passthru must be the only one of its master (ip -d link show type macvlan, here and in each namespace of ip netns list), and lo cannot have any: delete the existing link, or use another master`,
    );
  }
  if (kind === "vlan" && isErrno(cause, "EEXIST")) {
    return told(
      `VLAN ${data?.id} of master "${name}" already exists`,
      `a master can have each VLAN only once in all namespaces: find it (ip -d link show type vlan, here and in each namespace of ip netns list), delete that attachment or link, or use another "vlanId"`,
    );
  }
  return error;
}

/**
 * Checks for CHECK that the link's parent is the configured master. A parent that ADD found by the default route is not looked up again:
 * the link would be gone with its parent, and it does not matter when the default route has changed since.
 */
export function checkParent(
  { master = "", linkInContainer = false }: ParentSelector,
  { container, link }: Pick<Checked, "container" | "link">,
  host: () => Connection = openRtnetlink,
): void {
  if (master === "") return;
  const parent = findLink(linkInContainer ? container : host(), master);
  if (parent === undefined) throw checkFailure(`master "${master}" is missing`);
  const index = link.parent || link.index; // kernels before 5.12 omit the parent's index when it equals the link's
  if (index !== parent.index) throw checkFailure(`"${link.name}" has another parent than master "${master}"`);
}

/** Returns the sysctls, by path below /proc/sys/net, with which a link announces its addresses when it comes up; none without addresses. */
export function announceSysctls(ifName: string, { ips }: IpamResult): Record<string, string> {
  if (ips.length === 0) return {};
  return { [`ipv4/conf/${ifName}/arp_notify`]: "1", [`ipv6/conf/${ifName}/ndisc_notify`]: "1" };
}
