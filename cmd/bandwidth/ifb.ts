/** The intermediate functional block device (ifb) through which the container's outgoing traffic passes, to be limited there. */
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { hashedName, ifbName } from "../../pkg/firewall/upstream-names.ts";
import { createOwnedLink, unsupportedKind } from "../../pkg/link/create.ts";
import { deleteLink, findLink, type Link } from "../../pkg/link/link.ts";
import { aliasOf } from "../../pkg/link/owner.ts";
import { type Connection, NetlinkError, type Request, request } from "../../pkg/netlink/connection.ts";
import { IFF_UP } from "../../pkg/netlink/rtnetlink/link/interface.ts";
import { type LinkRequest, linkMessage, RTM_SETLINK } from "../../pkg/netlink/rtnetlink/link.ts";
import { isErrno } from "../../pkg/sys/errno.ts";

/**
 * Returns the name of a further device. The reference plugin's name (`ifbName`) does not distinguish a container's interfaces, so
 * the first one on a network gets that name, which either set of plugins finds, and a further one gets this name.
 */
const furtherName = ({ network, containerId, ifName }: AttachmentId): string =>
  hashedName("bwp", [network, containerId, ifName].join(" "), 15);

/**
 * Runs `ip link add <name> mtu <mtu> txqueuelen 0 up type ifb`; a device left by an earlier ADD is reused.
 *
 * A device with the first name and without a mark is the reference plugin's, perhaps for another interface, and is not touched.
 */
export function ensureIfb(host: Connection, owner: AttachmentId, mtu: number): Link {
  const alias = aliasOf(owner);
  for (const name of [ifbName(owner), furtherName(owner)]) {
    const made = tryCreate(host, ifbLink(name, mtu), owner);
    if (made !== undefined) return made;
    const known = findLink(host, name);
    if (known === undefined || known.kind !== "ifb" || known.alias === "" || known.alias !== alias) continue;
    host.request(adjust(known.index, mtu));
    return known;
  }
  throw new CniError({
    code: ErrorCode.internal,
    msg: `links "${ifbName(owner)}" and "${furtherName(owner)}" exist already, and are not this attachment's`,
    remedy: "find out what made them (ip -d link show type ifb), and delete those that are not needed",
  });
}

/** Creates the device; returns undefined when the name is taken. Leaves nothing behind when it throws. */
function tryCreate(host: Connection, link: LinkRequest, owner: AttachmentId): Link | undefined {
  try {
    return createOwnedLink(host, link, owner);
  } catch (error) {
    if (isErrno(error, "EEXIST")) return undefined;
    throw error instanceof NetlinkError && isErrno(error, "EOPNOTSUPP") ? unsupportedKind("ifb", error) : error;
  }
}

const ifbLink = (ifName: string, mtu: number): LinkRequest => ({
  ifName,
  mtu,
  txQueueLength: 0,
  flags: IFF_UP,
  change: IFF_UP,
  linkInfo: { kind: "ifb" },
});

/** Runs `ip link set <index> mtu <mtu> up`. */
function adjust(index: number, mtu: number): Request {
  const value = { index, mtu, flags: IFF_UP, change: IFF_UP };
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value });
}

/** Returns the attachment's device, by its mark; a device without a mark by its name alone, as the reference plugin makes it. */
export function findIfb(host: Connection, owner: AttachmentId): Link | undefined {
  const [first, further] = [ifbName(owner), furtherName(owner)].map((name) => findLink(host, name));
  if (first !== undefined && first.alias === aliasOf(owner)) return first;
  return further ?? (first?.alias === "" ? first : undefined);
}

/**
 * Deletes all devices of the attachment: after a crash it may have either name. Each message may wait for the kernel's RTNL lock.
 *
 * @param isAnothers Reports whether a device without a mark limits another attachment of the container.
 */
export function deleteIfb(host: Connection, owner: AttachmentId, isAnothers: (ifb: Link) => boolean): void {
  const first = findLink(host, ifbName(owner));
  const hadFurther = deleteLink(host, furtherName(owner));
  if (first === undefined) return;
  const isOurs = first.alias === "" ? !hadFurther && !isAnothers(first) : first.alias === aliasOf(owner);
  if (isOurs) deleteLink(host, first.name);
}
