/**
 * Whose link it is, written as its alias, of a veth pair on the host's end, where `ip link` shows it. With the mark DEL and GC
 * find links whose namespace is out of reach, and DEL does not take the link of another attachment that has its name.
 *
 * Rejected: the runtime's cache of results. It is the runtime's, may lie anywhere and may be gone.
 */
import { isInterfaceName } from "../config/formats.ts";
import type { Connection, Request } from "../netlink/connection.ts";
import {
  deleteLink,
  deleteLinksOfGroup,
  findLink,
  type Link,
  listLinks,
  openRoute,
  setAlias,
  setGroup,
} from "./link.ts";

export interface Owner {
  network: string;
  containerId: string;
  ifName: string;
}

/** linux/if.h: IFALIASZ, with the NUL. */
const ALIAS_BYTES = 256;
const MARK = "cni";

/** `cni podnet 3f2a4c eth0`; undefined when it does not fit, and the link stays unmarked. All parts are ASCII without blanks. */
export function aliasOf({ network, containerId, ifName }: Owner): string | undefined {
  const alias = [MARK, network, containerId, ifName].join(" ");
  return alias.length < ALIAS_BYTES ? alias : undefined;
}

/** What writes the mark on a link: one request, or none where it does not fit. */
export function setOwner(nameOrIndex: string | number, owner: Owner): Request[] {
  const alias = aliasOf(owner);
  return alias === undefined ? [] : [setAlias(nameOrIndex, alias)];
}

export function ownerOf({ alias }: Link): Owner | undefined {
  const [mark, network, containerId, ifName, ...more] = alias.split(" ");
  if (mark !== MARK || network === undefined || containerId === undefined || ifName === undefined || more.length > 0)
    return undefined;
  return { network, containerId, ifName };
}

/** Whose a container's link is, by its mark; a veth's is on the other end, on the host. undefined: it has none. */
export function findOwner(link: Link): Owner | undefined {
  const owner = ownerOf(link);
  if (owner !== undefined || link.kind !== "veth") return owner;
  const outside = findLink(openRoute(), link.parent);
  return outside?.kind === "veth" && outside.parent === link.index ? ownerOf(outside) : undefined;
}

/** The owner of a container's link that is marked as another attachment's. Without a mark it is taken for the attachment's own. */
export function otherOwnerOf(link: Link, owner: Owner): Owner | undefined {
  const found = findOwner(link);
  return found === undefined || aliasOf(found) === aliasOf(owner) ? undefined : found;
}

/** The same of the container's link of the attachment's name. */
export function findOtherOwner(container: Connection, owner: Owner): Owner | undefined {
  const link = findLink(container, owner.ifName);
  return link && otherOwnerOf(link, owner);
}

/**
 * What a link was called on the host from where host-device moved it into the container: the name that it writes into the alias, as the reference
 * plugin does. No plugin that makes links has made it. undefined: it is another link, or bears an owner's mark.
 */
export const nameOnHost = (link: Link): string | undefined =>
  isInterfaceName(link.alias) && findOwner(link) === undefined ? link.alias : undefined;

/** Deletes the links of a namespace that bear the owner's mark, a veth's other end with it. */
export function deleteOwnedLinks(route: Connection, owner: Owner): void {
  const alias = aliasOf(owner);
  for (const link of listLinks(route)) if (link.alias !== "" && link.alias === alias) deleteLink(route, link.name);
}

/** A link group for one moment: deleting a group costs one grace period, deleting its links one after the other one each. */
const DELETE_GROUP = 0x7477_6c6c;

/** Deletes the network's links whose owner is not among the valid ones. @param options.kind Of the links; all kinds where absent */
export function deleteStaleLinks(
  route: Connection,
  network: string,
  valid: readonly Omit<Owner, "network">[],
  { kind }: { kind?: string } = {},
): void {
  const alive = new Set(valid.map((owner) => aliasOf({ network, ...owner })));
  const stale = listLinks(route).filter(
    (link) =>
      (kind === undefined || link.kind === kind) && ownerOf(link)?.network === network && !alive.has(link.alias),
  );
  if (stale.length === 0) return;
  route.attemptAll(stale.map(({ index }) => setGroup(index, DELETE_GROUP))); // one that went meanwhile is fine
  deleteLinksOfGroup(route, DELETE_GROUP);
}
