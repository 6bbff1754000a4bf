/**
 * Records the attachment that a link belongs to as its alias, the mark; of a veth pair on the host's end, where `ip link` shows it.
 * By the mark, DEL and GC find links whose namespace cannot be opened, and DEL does not delete another attachment's link of that name.
 *
 * Rejected: the runtime's result cache. It belongs to the runtime, can be in any directory and may be gone.
 */
import type { AttachmentId } from "../cni/attachment-id.ts";
import { isInterfaceName } from "../config/formats.ts";
import type { Connection, Request } from "../netlink/connection.ts";
import {
  deleteLink,
  deleteLinksOfGroup,
  findLink,
  type Link,
  listLinks,
  openRtnetlink,
  setAlias,
  setGroup,
} from "./link.ts";

/** The size of an alias with its NUL, IFALIASZ of linux/if.h. */
const ALIAS_BYTES = 256;
const MARK = "cni";

/** Returns `cni podnet 3f2a4c eth0`; undefined when it is too long, so that the link stays unmarked. All parts are ASCII without blanks. */
export function aliasOf({ network, containerId, ifName }: AttachmentId): string | undefined {
  const alias = [MARK, network, containerId, ifName].join(" ");
  return alias.length < ALIAS_BYTES ? alias : undefined;
}

/** Returns the request that writes the mark on a link, or none when it is too long. */
export function setOwner(nameOrIndex: string | number, owner: AttachmentId): Request[] {
  const alias = aliasOf(owner);
  return alias === undefined ? [] : [setAlias(nameOrIndex, alias)];
}

export function ownerOf({ alias }: Link): AttachmentId | undefined {
  const [mark, network, containerId, ifName, ...more] = alias.split(" ");
  if (mark !== MARK || network === undefined || containerId === undefined || ifName === undefined || more.length > 0)
    return undefined;
  return { network, containerId, ifName };
}

/**
 * Returns the owner of a container's link by its mark, which of a veth is on the host's end; undefined when there is no mark.
 *
 * @param host Opens the rtnetlink socket of the host.
 */
export function findOwner(link: Link, host: () => Connection = openRtnetlink): AttachmentId | undefined {
  const owner = ownerOf(link);
  if (owner !== undefined || link.kind !== "veth") return owner;
  const outside = findLink(host(), link.parent);
  return outside?.kind === "veth" && outside.parent === link.index ? ownerOf(outside) : undefined;
}

/** Returns the owner of a link that is marked for another attachment. A link without mark counts as the attachment's own: undefined. */
export function otherOwnerOf(
  link: Link,
  owner: AttachmentId,
  host: () => Connection = openRtnetlink,
): AttachmentId | undefined {
  const found = findOwner(link, host);
  return found === undefined || aliasOf(found) === aliasOf(owner) ? undefined : found;
}

/** Returns what tells the names of the host's links that are marked as another attachment's. */
export const isAnothersOf =
  (owner: AttachmentId, host: () => Connection = openRtnetlink): ((hostIfName: string) => boolean) =>
  (hostIfName) => {
    const link = findLink(host(), hostIfName);
    return link !== undefined && otherOwnerOf(link, owner, host) !== undefined;
  };

/** Returns the other owner of the container's link that has the attachment's interface name; undefined when there is none. */
export function findOtherOwner(
  container: Connection,
  owner: AttachmentId,
  host: () => Connection = openRtnetlink,
): AttachmentId | undefined {
  const link = findLink(container, owner.ifName);
  return link && otherOwnerOf(link, owner, host);
}

/**
 * Returns the name that a link had on the host before host-device moved it into the container: host-device writes it into the alias, as the
 * reference plugin does. Such a link was not created by a plugin. Returns undefined for any other link, and for one with an owner's mark.
 */
export const nameOnHost = (link: Link, host: () => Connection = openRtnetlink): string | undefined =>
  isInterfaceName(link.alias) && findOwner(link, host) === undefined ? link.alias : undefined;

/** Deletes the links of a namespace that have the owner's mark; of a veth both ends. */
export function deleteOwnedLinks(rtnl: Connection, owner: AttachmentId): boolean {
  const alias = aliasOf(owner);
  const own = listLinks(rtnl).filter((link) => link.alias !== "" && link.alias === alias);
  for (const link of own) deleteLink(rtnl, link.name);
  return own.length > 0;
}

/** The group that links get just before deletion: deleting a group takes one grace period, deleting links one by one takes one for each. */
const DELETE_GROUP = 0x7477_6c6c;

/** Deletes the network's links whose owner is not among the valid ones. @param options.kind The kind of the links; all kinds when absent */
export function deleteStaleLinks(
  rtnl: Connection,
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
  { kind }: { kind?: string } = {},
): void {
  const alive = new Set(valid.map((owner) => aliasOf({ network, ...owner })));
  const stale = listLinks(rtnl).filter(
    (link) =>
      (kind === undefined || link.kind === kind) && ownerOf(link)?.network === network && !alive.has(link.alias),
  );
  if (stale.length === 0) return;
  rtnl.attemptAll(stale.map(({ index }) => setGroup(index, DELETE_GROUP))); // one that was deleted in between is no error
  deleteLinksOfGroup(rtnl, DELETE_GROUP);
}
