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
  const { ifName } = attachment;
  const container = openRtnetlink(netns);
  const link = findLink(container, ifName);
  const whose = link && whoseInstead(link, attachment);
  if (whose !== undefined) tellLeft(attachment, whose);
  if (link === undefined || whose !== undefined) return deleteOwnedLinks(marked(), attachment) || whose !== undefined;
  return wantsFastDelete() ? deleteLinkFast(netns, ifName) : deleteLink(container, link.index);
}

/** Completes the message `"eth0" …` with the owner of the link; returns undefined when it is the attachment's own. */
function whoseInstead(link: Link, attachment: Attachment<unknown>): string | undefined {
  const other = otherOwnerOf(link, attachment);
  if (other !== undefined) return belongsTo(other);
  const device = nameOnHost(link);
  if (device !== undefined) return `is "${device}" of the host, which host-device has moved there`;
  return link.kind === "" ? "is hardware, or the loopback interface, which no plugin makes" : undefined;
}

/** Reports whether a container's link is marked for another attachment, so that it must not be changed; says so on stderr. */
export function isLeftToOther(link: Link, attachment: Attachment<unknown>): boolean {
  const other = otherOwnerOf(link, attachment);
  if (other !== undefined) tellLeft(attachment, belongsTo(other));
  return other !== undefined;
}

const belongsTo = ({ network, containerId, ifName }: AttachmentId): string =>
  `belongs to network ${JSON.stringify(network)} (container ${containerId}, interface ${ifName})`;

function tellLeft({ network, netns, ifName }: Attachment<unknown>, whose: string): void {
  writeStderr(`network ${JSON.stringify(network)}: "${ifName}" in ${netns} ${whose}: it is not removed\n`);
}
