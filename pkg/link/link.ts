/** Links by name or index, as `ip link show`, `ip link set up` and `ip link delete` handle them. */
import { CniError, ErrorCode } from "../cni/error.ts";
import type { HostConnections } from "../cni/plugin.ts";
import type { Interface } from "../cni/result.ts";
import { isLinkName, isLongLinkName } from "../config/formats.ts";
import { type Connection, connect, NETLINK_ROUTE, query, type Request, request } from "../netlink/connection.ts";
import { only } from "../netlink/message.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/nlmsg.ts";
import { IFF_PROMISC, IFF_UP } from "../netlink/rtnetlink/link/interface.ts";
import {
  type LinkMessage,
  type LinkRequest,
  type LinkSummary,
  linkMessage,
  linkSummary,
  RTEXT_FILTER_SKIP_STATS,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
} from "../netlink/rtnetlink/link.ts";
import { isErrno } from "../sys/errno.ts";
import type { Namespace } from "../sys/namespace.ts";
import { formatMac } from "./mac.ts";

/** A link as the kernel reports it. */
export interface Link {
  index: number;
  name: string;
  /** "veth", "bridge" ...; "" for hardware. */
  kind: string;
  /** The MAC in lower case with colons; "" for links without one. */
  mac: string;
  mtu: number;
  up: boolean;
  /** Whether the administrator or a plugin set it; a packet capture does not change it. */
  promiscuous: boolean;
  /** The index of the bridge or VRF that it is a port of, 0 for none. */
  master: number;
  /** The index of a veth's other end or of the parent, in the namespace of that link; 0 for none. */
  parent: number;
  /** IF_OPER_* */
  operState: number;
  /** IFLA_IFALIAS, "" for none. */
  alias: string;
  /** The permanent MAC of hardware, "" where unknown. */
  permanentMac: string;
  /** The name of hardware on its bus, such as "0000:00:05.0"; "" before kernel 5.14. */
  device: string;
}

/** Opens an rtnetlink socket in a namespace, by default in that of this process. */
export const openRtnetlink = (namespace?: Namespace): Connection => connect(NETLINK_ROUTE, namespace);

/** Returns the rtnetlink socket of the host that the calls of this process share, or opens one. */
export const hostRtnetlink = ({ host }: { host?: HostConnections | undefined }): Connection =>
  host?.rtnl() ?? openRtnetlink();

const extMask = RTEXT_FILTER_SKIP_STATS;

/** Returns a link; undefined when there is none of that index, name or alternative name. */
export function findLink(rtnl: Connection, nameOrIndex: string | number): Link | undefined {
  if (typeof nameOrIndex === "string" && !isLinkName(nameOrIndex)) return undefined;
  const answer = rtnl.find(linkQuery(nameOrIndex));
  return answer === undefined ? undefined : linkOf(answer);
}

/** Returns the name of the link that a configuration names, perhaps by an alternative name; that name when there is no such link. */
export const linkNameOf = (rtnl: Connection, name: string): string => findLink(rtnl, name)?.name ?? name;

/** Performs the requests and returns the link after them, with one send. @throws NetlinkError the first refusal */
export function linkAfter(rtnl: Connection, requests: readonly Request[], nameOrIndex: string | number): Link {
  return linkOf(rtnl.requestAllAndGet(requests, linkQuery(nameOrIndex)));
}

function linkQuery(nameOrIndex: string | number) {
  const value = typeof nameOrIndex === "string" ? named(nameOrIndex) : { index: nameOrIndex, extMask };
  return query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: linkSummary, value });
}

/** Names a link that exists. The kernel looks for either name in both attributes, but takes at most 15 bytes in the first. */
const named = (name: string) => (isLongLinkName(name) ? { altIfName: name, extMask } : { ifName: name, extMask });

/** Returns a link that must exist. @throws CniError 999: it does not exist */
export function needLink(rtnl: Connection, nameOrIndex: string | number): Link {
  const link = findLink(rtnl, nameOrIndex);
  if (link !== undefined) return link;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `link ${JSON.stringify(nameOrIndex)} does not exist`,
    remedy: "find out what deleted it (`ip monitor link`), then try again",
  });
}

/** Returns links that must exist, asked for with one send. @throws CniError 999: one does not exist */
export function needLinks(rtnl: Connection, indexes: readonly number[]): Link[] {
  const answers = rtnl.findAll(indexes.map(linkQuery));
  return answers.map((answer, i) => (answer === undefined ? needLink(rtnl, indexes[i] as number) : linkOf(answer)));
}

const linkKind = only(linkMessage, ["linkInfo", "extMask"]);

/** Returns the attributes of the link's kind, as `ip -d link show` prints them; undefined for hardware, and when the link is gone. */
export function findLinkInfo(rtnl: Connection, index: number): LinkMessage["linkInfo"] {
  const value = { index, extMask };
  return rtnl.find(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: linkKind, value }))?.linkInfo;
}

export function listLinks(rtnl: Connection): Link[] {
  return rtnl
    .dump(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: linkSummary, value: { extMask } }))
    .map(linkOf);
}

function linkOf(message: LinkSummary): Link {
  return {
    index: message.index,
    name: message.ifName ?? "",
    kind: message.linkInfo?.kind ?? "",
    mac: message.address === undefined ? "" : formatMac(message.address),
    mtu: message.mtu ?? 0,
    up: (message.flags & IFF_UP) !== 0,
    promiscuous: (message.flags & IFF_PROMISC) !== 0,
    master: message.master ?? 0,
    parent: message.link ?? 0,
    operState: message.operState ?? 0,
    alias: message.alias ?? "",
    permanentMac: message.permanentAddress === undefined ? "" : formatMac(message.permanentAddress),
    device: message.parentDeviceName ?? "",
  };
}

/** Returns the link's entry in a result. @param sandbox The path of the container's namespace; absent for links on the host. */
export const entryOf = ({ name, mac }: Link, sandbox?: string): Interface => ({
  name,
  mac,
  ...(sandbox && { sandbox }),
});

/** `ip link add …`; the kernel refuses it with EEXIST when the name is in use. */
export function addLink(value: LinkRequest): Request {
  return request({
    name: "RTM_NEWLINK",
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    table: linkMessage,
    value,
  });
}

/** `ip link set <index> up` */
export function setUp(index: number): Request {
  return request({
    name: "RTM_SETLINK",
    type: RTM_SETLINK,
    table: linkMessage,
    value: { index, flags: IFF_UP, change: IFF_UP },
  });
}

/** `ip link set <index> down` */
export function setDown(index: number): Request {
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value: { index, change: IFF_UP } });
}

/** `ip link set <index> promisc on` */
export function setPromiscuous(index: number): Request {
  const value = { index, flags: IFF_PROMISC, change: IFF_PROMISC };
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value });
}

/** `ip link set <index> address <mac>` */
export function setMac(index: number, mac: Uint8Array): Request {
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value: { index, address: mac } });
}

/** `ip link set <index> mtu <mtu>` */
export function setMtu(index: number, mtu: number): Request {
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value: { index, mtu } });
}

/** `ip link set <name or index> alias <text>`, at most 255 bytes. */
export function setAlias(nameOrIndex: string | number, alias: string): Request {
  const value = typeof nameOrIndex === "string" ? { ifName: nameOrIndex, alias } : { index: nameOrIndex, alias };
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value });
}

/** The namespace that a link is moved to, and its name and attributes there. */
export interface Destination {
  netns: Namespace;
  name: string;
  /** The alias; unchanged when absent. */
  alias?: string;
  up?: boolean;
}

/**
 * `ip link set <index> netns <netns> name <name> alias <alias> up`: one message, but several steps, performed in this order. A later
 * step may be refused after the link was moved. Moving a link sets it down and removes its addresses, routes and master.
 */
export function moveLink(index: number, { netns, name, alias, up = false }: Destination): Request {
  return request({
    name: "RTM_SETLINK",
    type: RTM_SETLINK,
    table: linkMessage,
    value: {
      index,
      netnsFd: netns.fd,
      ifName: name,
      ...(alias !== undefined && { alias }),
      ...(up && { flags: IFF_UP, change: IFF_UP }),
    },
  });
}

/** `ip link set <index> group <group>` */
export function setGroup(index: number, group: number): Request {
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value: { index, group } });
}

/** `ip link set <index> master <master>`; 0 means `nomaster`. A VRF has the kernel set a link that is up down and up again. */
export function setMaster(index: number, master: number): Request {
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value: { index, master } });
}

/** `ip link delete <name>`. @returns false when there was none. */
export function deleteLink(rtnl: Connection, nameOrIndex: string | number): boolean {
  return deleteMatching(rtnl, typeof nameOrIndex === "string" ? { ifName: nameOrIndex } : { index: nameOrIndex });
}

/** `ip link delete group <group>`: deletes many links in the time of one. @returns false when there was none. */
export function deleteLinksOfGroup(rtnl: Connection, group: number): boolean {
  return deleteMatching(rtnl, { group });
}

function deleteMatching(rtnl: Connection, value: { ifName: string } | { index: number } | { group: number }): boolean {
  try {
    rtnl.request(request({ name: "RTM_DELLINK", type: RTM_DELLINK, table: linkMessage, value }));
    return true;
  } catch (error) {
    if (isErrno(error, "ENODEV", "ENOENT")) return false;
    throw error;
  }
}
