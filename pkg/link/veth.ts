/** Veth pairs with one end in a container. */
import type { AttachmentId } from "../cni/attachment-id.ts";
import { CniError, ErrorCode } from "../cni/error.ts";
import type { Attachment } from "../cni/plugin.ts";
import { type Connection, NetlinkError } from "../netlink/connection.ts";
import { IFF_UP } from "../netlink/rtnetlink/link/interface.ts";
import type { LinkRequest } from "../netlink/rtnetlink/link.ts";
import { isErrno } from "../sys/errno.ts";
import { findNamespace, type Namespace } from "../sys/namespace.ts";
import { randomHex } from "../sys/random.ts";
import { createOwnedLink, nameInUse, unsupportedKind } from "./create.ts";
import { deleteAttachedLink } from "./delete.ts";
import { deleteLink, findLink, hostRtnetlink, type Link, needLink, openRtnetlink } from "./link.ts";
import { deleteOwnedLinks } from "./owner.ts";
import { trySysctl } from "./sysctl.ts";

/** The number of random names that are tried for the host's end. */
const NAME_ATTEMPTS = 10;

export interface VethPair {
  /** The container's end, down. */
  inside: Link;
  /** The host's end, up. */
  outside: Link;
}

export interface VethOptions {
  netns: Namespace;
  /** The rtnetlink socket inside `netns`. */
  container: Connection;
  /** The name of the container's end. */
  ifName: string;
  /** The MTU; 0: the kernel's default. */
  mtu: number;
  /** The MAC of the container's end; random when absent. */
  mac?: Uint8Array | undefined;
  /** Index of the bridge that the host's end joins. */
  master?: number;
  /** The owner, which is written on the host's end; absent for a pair that several attachments share. */
  owner?: AttachmentId;
}

/**
 * Creates the pair with one message: both ends exist or neither, and the container's end is never visible on the host. The host's end gets
 * its owner's alias in the same send.
 *
 * Same as `ip link add vethX master <bridge> up type veth peer name eth0 netns <container>; ip link set vethX alias <owner>`.
 *
 * @throws CniError 999: `ifName` exists in the container
 */
export function createVeth(host: Connection, options: VethOptions): VethPair {
  for (let attempt = 1; ; attempt++) {
    const hostIfName = `veth${randomHex(4)}`;
    const pair = tryCreate(host, hostIfName, options);
    if (pair !== undefined) return pair;
    if (findLink(options.container, options.ifName) !== undefined)
      throw nameInUse(options, "creating the veth pair (RTM_NEWLINK: EEXIST)", { host: () => host });
    if (attempt === NAME_ATTEMPTS) throw noFreeName(hostIfName);
  }
}

/** Creates the pair; returns undefined when one of the two names is in use. Leaves nothing behind when it throws. */
function tryCreate(host: Connection, hostIfName: string, options: VethOptions): VethPair | undefined {
  const outside = tryCreateOutside(host, hostIfName, options);
  if (outside === undefined) return undefined;
  try {
    trySysctl(`ipv6/conf/${hostIfName}/accept_ra`, "0"); // the host must not configure itself by router advertisements of a container
    return { inside: needLink(options.container, options.ifName), outside };
  } catch (error) {
    deleteLink(host, outside.index);
    throw refused(error, options);
  }
}

function tryCreateOutside(host: Connection, hostIfName: string, options: VethOptions): Link | undefined {
  try {
    return createOwnedLink(host, vethLink(hostIfName, options), options.owner);
  } catch (error) {
    if (isErrno(error, "EEXIST")) return undefined;
    throw refused(error, options);
  }
}

function noFreeName(tried: string): CniError {
  return new CniError({
    code: ErrorCode.tryAgainLater,
    msg: `found no free name for the host end of a veth pair: "${tried}" and ${NAME_ATTEMPTS - 1} other names are used`,
    remedy: "find out what created so many links (`ip link`), and try again",
  });
}

function vethLink(hostIfName: string, { netns, ifName, mtu, mac, master }: VethOptions): LinkRequest {
  const size = mtu === 0 ? {} : { mtu };
  const peer = { ifName, netnsFd: netns.fd, ...size, ...(mac && { address: mac }) }; // not up: the ends are not paired yet
  return {
    flags: IFF_UP,
    change: IFF_UP,
    ifName: hostIfName,
    ...size,
    ...(master !== undefined && { master }),
    linkInfo: { kind: "veth", data: { peer } },
  };
}

function refused(error: unknown, { ifName, mtu, netns }: VethOptions): unknown {
  if (!(error instanceof NetlinkError)) return error;
  if (isErrno(error, "EOPNOTSUPP")) return unsupportedKind("veth", error);
  return new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses a veth pair with "${ifName}" in ${netns.path}${mtu === 0 ? "" : ` and MTU ${mtu}`}`,
    details: error.message,
    remedy: isErrno(error, "EPERM", "EACCES")
      ? "run as root with CAP_NET_ADMIN"
      : `check "mtu" and "mac" of the network`,
    cause: error,
  });
}

/** Deletes the pair from inside the container; when its namespace is gone, by the owner's mark on the host's end. @returns false when there was none */
export function deleteVeth(attachment: Attachment<unknown>): boolean {
  const netns = findNamespace(attachment.netns);
  return netns === undefined
    ? deleteOwnedLinks(hostRtnetlink(attachment), attachment)
    : deleteAttachedLink(netns, attachment, openRtnetlink);
}
