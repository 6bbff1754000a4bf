/** Creates links inside a container, as `ip link add <name> netns <container> type <kind>` does. */

import type { AttachmentId } from "../cni/attachment-id.ts";
import { CniError, ErrorCode } from "../cni/error.ts";
import type { Attachment } from "../cni/plugin.ts";
import { notAvailable } from "../cni/status.ts";
import { type Connection, NetlinkError, type Request, request } from "../netlink/connection.ts";
import { IFNAMSIZ } from "../netlink/rtnetlink/link/name.ts";
import { type LinkRequest, linkMessage, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";
import { isErrno } from "../sys/errno.ts";
import { findNamespace, type Namespace } from "../sys/namespace.ts";
import { deleteAttachedLink } from "./delete.ts";
import { addLink, deleteLink, findLink, type Link, linkAfter, listLinks, needLink, openRtnetlink } from "./link.ts";
import { aliasOf, findOwner, setOwner } from "./owner.ts";
import { unusedIndex } from "./unused-index.ts";

/** The name and namespace of a link in a container. */
export interface LinkRef {
  netns: Namespace;
  /** The rtnetlink socket inside `netns`. */
  container: Connection;
  ifName: string;
  /** The attachment that a new link belongs to; absent for a link that several share. */
  owner?: AttachmentId | undefined;
}

export interface NewLink {
  linkInfo: NonNullable<LinkRequest["linkInfo"]> & { kind: string };
  /** The MTU; 0: the kernel's default. */
  mtu?: number;
  /** The MAC; random when absent. */
  mac?: Uint8Array | undefined;
  /** The parent: its index, and an rtnetlink socket of its namespace. */
  parent?: { rtnl: Connection; index: number } | undefined;
}

/**
 * Creates a link on the host with its owner's alias, so that DEL and GC find it even when this process is killed at any point.
 *
 * RTM_NEWLINK ignores IFLA_IFALIAS (seen on 6.18; rtnl_create_link in net/core/rtnetlink.c does not read it). So creation, alias and query
 * are messages of one send: the kernel performs all of them within that system call, and no signal can end the process in between. It
 * performs the second also when it refuses the first, and an alias set by name would then go to the existing link of that name. Therefore
 * the index is chosen here, one that no link has: when no link was created, setting the alias fails with ENODEV.
 *
 * @throws NetlinkError the kernel refuses one of them; no link is left then
 */
export function createOwnedLink(rtnl: Connection, link: LinkRequest, owner: AttachmentId | undefined): Link {
  const index = unusedIndex(rtnl);
  const marking = owner === undefined ? [] : setOwner(index, owner);
  try {
    return linkAfter(rtnl, [addLink({ ...link, index }), ...marking], index);
  } catch (error) {
    const notMade = error instanceof NetlinkError && error.request === "RTM_NEWLINK";
    if (!notMade) deleteLink(rtnl, index); // it was created, or may have been without an answer being read
    throw error;
  }
}

/**
 * Creates the link, down. It is never visible on the host, and gets its name together with its owner's alias.
 *
 * @throws CniError 999: `ifName` exists there, the kernel has no links of that kind, or refuses it
 */
export function createLink(place: LinkRef, link: NewLink): Link {
  const { container, ifName, owner } = place;
  try {
    const { parent } = link;
    if (parent !== undefined && parent.rtnl !== container) return createFromHost(place, link, parent.rtnl);
    return createInside(container, attributesOf(link, ifName), owner);
  } catch (error) {
    throw refused(error, place, link);
  }
}

/**
 * Lets the kernel choose the index, since programs in the container rely on the order of its interfaces. So there are two sends. A signal
 * between them leaves a link with the name and without alias, which DEL deletes like links of other plugins.
 */
function createInside(
  container: Connection,
  link: LinkRequest & { ifName: string },
  owner: AttachmentId | undefined,
): Link {
  const { ifName } = link;
  const marking = owner === undefined ? [] : setOwner(ifName, owner);
  try {
    container.request(addLink(link));
    return linkAfter(container, marking, ifName);
  } catch (error) {
    const notMade = error instanceof NetlinkError && error.request === "RTM_NEWLINK";
    if (!notMade) deleteLink(container, ifName); // it was created, or may have been without an answer being read
    throw error;
  }
}

/** Creates a link whose parent is on the host: a message goes to one namespace, so name and alias are set from the container afterwards. */
function createFromHost(place: LinkRef, link: NewLink, host: Connection): Link {
  const { netns, container, ifName, owner } = place;
  const temporary = unnamed(ifName);
  try {
    host.request(addLink({ ...attributesOf(link, temporary), netnsFd: netns.fd }));
  } catch (error) {
    const notMade = error instanceof NetlinkError;
    if (!notMade) deleteLink(container, temporary); // it may have been created without an answer being read
    throw error;
  }
  const made = madeLink(place, temporary);
  const alias = owner && aliasOf(owner);
  try {
    container.request(renameLink(made.index, ifName, alias));
    return { ...made, name: ifName, alias: alias ?? "" };
  } catch (error) {
    deleteLink(container, made.index); // by index, since its name may have changed already
    throw error;
  }
}

const attributesOf = ({ mtu = 0, mac, parent, linkInfo }: NewLink, ifName: string) => ({
  ifName,
  ...(mtu > 0 && { mtu }),
  ...(mac && { address: mac }),
  ...(parent && { link: parent.index }),
  linkInfo,
});

/**
 * Returns the temporary name of a link with a parent on the host: kernels before 6.14 refuse a name that one of the host's links has, and
 * mostly there is an eth0. It only depends on `ifName`, so that DEL finds a link that a killed ADD left under it.
 */
const unnamed = (ifName: string): string => `~${ifName.slice(1)}`;

/** Deletes the link of `createLink`, unless it or its namespace is gone. @returns false when there was none */
export function deleteCreatedLink(attachment: Attachment<unknown>): boolean {
  const namespace = findNamespace(attachment.netns);
  if (namespace === undefined) return false;
  const named = deleteAttachedLink(namespace, attachment);
  return deleteLink(openRtnetlink(namespace), unnamed(attachment.ifName)) || named;
}

/** Returns a link that was just created; deletes it when it cannot be read. */
function madeLink({ container }: LinkRef, name: string): Link {
  try {
    return needLink(container, name);
  } catch (error) {
    deleteLink(container, name);
    throw error;
  }
}

/** `ip link set <index> name <name>`, for a link that is down. @param alias The alias, set in the same message; unchanged when undefined */
export function renameLink(index: number, ifName: string, alias?: string): Request {
  const value = { index, ifName, ...(alias !== undefined && { alias }) };
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value });
}

function refused(error: unknown, place: LinkRef, { linkInfo: { kind }, mtu = 0 }: NewLink): unknown {
  if (!(error instanceof NetlinkError)) return error;
  if (isErrno(error, "EEXIST")) {
    const details = `creating the ${kind} link (${error.request}: EEXIST)`;
    if (findLink(place.container, place.ifName) !== undefined) return nameInUse(place, details);
    if (findLink(place.container, unnamed(place.ifName)) !== undefined) return leftUnnamed(place, details, error);
  } // else it is about another property of the link
  if (isUnknownKind(error)) return unsupportedKind(kind, error);
  return new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses a ${kind} link "${place.ifName}" in ${place.netns.path}${mtu === 0 ? "" : ` with MTU ${mtu}`}`,
    details: error.message,
    remedy: isErrno(error, "EPERM", "EACCES")
      ? "run as root with CAP_NET_ADMIN"
      : "compare the network's configuration with the kernel's message",
    cause: error,
  });
}

/** The kernel's messages for a kind that it does not know; with another message it knows the kind, but not on this parent. */
const UNKNOWN_KIND: readonly (string | undefined)[] = [undefined, "Unknown device type"];

const isUnknownKind = (refusal: NetlinkError): boolean =>
  isErrno(refusal, "EOPNOTSUPP") && UNKNOWN_KIND.includes(refusal.kernelMessage);

const leftUnnamed = ({ ifName, netns }: LinkRef, details: string, cause: NetlinkError): CniError =>
  new CniError({
    code: ErrorCode.internal,
    msg: `"${unnamed(ifName)}" in ${netns.path} is left by an ADD of "${ifName}" that was ended before it was done`,
    details,
    remedy: `delete the attachment (DEL with interface name ${ifName}), then add it again`,
    cause,
  });

/**
 * Returns the error for a name that is in use, with the owner of the link and a free name.
 *
 * @param options.host Opens the rtnetlink socket of the host.
 */
export function nameInUse(
  { ifName, netns, container, owner }: LinkRef,
  details: string,
  { cause, host }: { cause?: unknown; host?: () => Connection } = {},
): CniError {
  const link = findLink(container, ifName);
  const holder = link && findOwner(link, host);
  const isOwn = holder !== undefined && owner !== undefined && aliasOf(holder) === aliasOf(owner);
  return new CniError({
    code: ErrorCode.internal,
    msg: `interface "${ifName}" already exists in ${netns.path}${holder && !isOwn ? `: it belongs to network "${holder.network}"` : ""}`,
    details:
      holder && !isOwn
        ? `${details}; attached as container ${holder.containerId}, interface ${holder.ifName}`
        : details,
    remedy: isOwn
      ? "delete the attachment first (DEL with the same container ID and interface name)"
      : withOtherName(freeName(container, ifName), netns, owner),
    cause,
  });
}

const withOtherName = (name: string, { path }: Namespace, owner: AttachmentId | undefined): string =>
  `choose another interface name: CNI_IFNAME=${name}${owner === undefined ? "" : `, cnitool add --ifname ${name} ${owner.network} ${path}`}`;

const LINK_NAME_MAX = IFNAMSIZ - 1;

/** Returns the next name that no link has: eth1 after eth0. */
function freeName(container: Connection, taken: string): string {
  const names = new Set(listLinks(container).map(({ name }) => name));
  const stem = taken.replace(/\d+$/, "");
  const named = (number: number) => `${stem.slice(0, LINK_NAME_MAX - `${number}`.length)}${number}`;
  let number = Number(taken.slice(stem.length)) + 1;
  while (names.has(named(number))) number++;
  return named(number);
}

type Kind = NewLink["linkInfo"]["kind"];

/** Makes sure, for STATUS, that the kernel can create links of these kinds. @throws CniError 50: it cannot */
export function needKinds(rtnl: Connection, ...kinds: Kind[]): void {
  const refusals = rtnl.attemptAll(kinds.map(refusedLink));
  kinds.forEach((kind, index) => {
    const refusal = refusals[index];
    if (refusal !== undefined && isUnknownKind(refusal)) throw notAvailable(unsupportedKind(kind, refusal));
  });
}

/** Returns a request that every kernel refuses: one that knows the kind, because of the multicast address or the missing parent. */
const refusedLink = (kind: Kind): Request =>
  addLink({ address: Uint8Array.of(1, 0, 0, 0, 0, 0), linkInfo: { kind } as NewLink["linkInfo"] });

/** The kernel module or option of kinds whose name differs from it. */
const MODULES: Readonly<Record<string, string>> = { vlan: "8021q" };
const OPTIONS: Readonly<Record<string, string>> = { vlan: "CONFIG_VLAN_8021Q", vrf: "CONFIG_NET_VRF" };

export function unsupportedKind(kind: string, cause: Error): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `this kernel cannot create links of kind ${kind}`,
    details: cause.message,
    remedy: `load the module (\`modprobe ${MODULES[kind] ?? kind}\`) or use a kernel with ${OPTIONS[kind] ?? `CONFIG_${kind.toUpperCase()}`}`,
    cause,
  });
}
