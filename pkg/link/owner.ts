/**
 * Whose link it is, written on the host's end of a veth pair as its alias, where `ip link` shows it. With the mark DEL and GC
 * find links whose namespace is out of reach.
 *
 * Rejected: the runtime's cache of results. It is the runtime's, may lie anywhere and may be gone.
 */
import type { Connection, Request } from "../netlink/connection.ts";
import { deleteLink, deleteLinksOfGroup, type Link, listLinks, setAlias, setGroup } from "./link.ts";

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

/** Deletes the host's ends that bear the owner's mark, and with them the containers'. */
export function deleteOwnedLinks(route: Connection, owner: Owner): void {
  const alias = aliasOf(owner);
  for (const link of listLinks(route)) if (link.alias !== "" && link.alias === alias) deleteLink(route, link.name);
}

/** A link group for one moment: deleting a group costs one grace period, deleting its links one after the other one each. */
const DOOMED_GROUP = 0x7477_6c6c;

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
  route.attemptAll(stale.map(({ index }) => setGroup(index, DOOMED_GROUP))); // one that went meanwhile is fine
  deleteLinksOfGroup(route, DOOMED_GROUP);
}
