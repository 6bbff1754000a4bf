/** Deletes an attachment's link in its container, for DEL. */
import type { AttachmentId } from "../cni/attachment-id.ts";
import type { Attachment } from "../cni/plugin.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Namespace } from "../sys/namespace.ts";
import { writeStderr } from "../sys/process.ts";
import { deleteLinkFast, wantsFastDelete } from "./fast-delete.ts";
import { deleteLink, findLink, type Link, openRtnetlink } from "./link.ts";
import { deleteOwnedLinks, nameOnHost, otherOwnerOf } from "./owner.ts";

/**
 * Deletes the link that has the attachment's interface name, unless its mark names another attachment, host-device has moved it there, or
 * it is none that a plugin makes: that link was there first, and this attachment's ADD failed because of it. In that case, and when there is no link of the name, the links
 * with the attachment's own mark are deleted, whatever their name is by now.
 *
 * @param marked Opens the rtnetlink socket of the namespace whose link has the mark.
 * @returns false when there was none
 */
export function deleteAttachedLink(
  netns: Namespace,
  attachment: Attachment<unknown>,
  marked: () => Connection = () => openRtnetlink(netns),
): boolean {
  const container = openRtnetlink(netns);
  return deleteLinkOf(attachment, {
    container,
    host: openRtnetlink,
    marked,
    log: writeStderr,
    remove: ({ name, index }) => (wantsFastDelete() ? deleteLinkFast(netns, name) : deleteLink(container, index)),
  });
}

/** What `deleteLinkOf` works with. */
export interface DeletionScope {
  container: Connection;
  host(): Connection;
  /** Opens the rtnetlink socket of the namespace whose link has the mark. */
  marked(): Connection;
  /** Deletes the container's link. @returns false when it is gone */
  remove(link: Link): boolean;
  /** Takes the line that says which link is left, and whose it is. */
  log(line: string): void;
}

type Owned = Pick<Attachment<unknown>, "network" | "containerId" | "ifName" | "netns">;

/** Performs `deleteAttachedLink` with these connections. */
export function deleteLinkOf(attachment: Owned, { container, host, marked, remove, log }: DeletionScope): boolean {
  const link = findLink(container, attachment.ifName);
  const whose = link && whoseInstead(link, attachment, host);
  if (whose !== undefined) log(leftLink(attachment, whose));
  if (link === undefined || whose !== undefined) return deleteOwnedLinks(marked(), attachment) || whose !== undefined;
  return remove(link);
}

/** Completes the message `"eth0" …` with the owner of the link; returns undefined when it is the attachment's own. */
function whoseInstead(link: Link, owner: AttachmentId, host: () => Connection): string | undefined {
  const other = otherOwnerOf(link, owner, host);
  if (other !== undefined) return belongsTo(other);
  const device = nameOnHost(link, host);
  if (device !== undefined) return `is "${device}" of the host, which host-device has moved there`;
  return link.kind === "" ? "is hardware, or the loopback interface, which no plugin makes" : undefined;
}

/** Reports whether a container's link is marked for another attachment, so that it must not be changed; says so on stderr. */
export function isLeftToOther(link: Link, attachment: Attachment<unknown>): boolean {
  const other = otherOwnerOf(link, attachment);
  if (other !== undefined) writeStderr(leftLink(attachment, belongsTo(other)));
  return other !== undefined;
}

const belongsTo = ({ network, containerId, ifName }: AttachmentId): string =>
  `belongs to network ${JSON.stringify(network)} (container ${containerId}, interface ${ifName})`;

const leftLink = ({ network, netns, ifName }: Owned, whose: string): string =>
  `network ${JSON.stringify(network)}: "${ifName}" in ${netns} ${whose}: it is not removed\n`;
