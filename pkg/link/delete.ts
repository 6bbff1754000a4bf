/** Deleting what an attachment has in its container, by DEL. */
import type { Attachment } from "../cni/plugin.ts";
import { writeStderr } from "../cni/process-io.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Namespace } from "../sys/namespace.ts";
import { deleteLinkFast, wantsFastDelete } from "./fast-delete.ts";
import { deleteLink, findLink, openRoute } from "./link.ts";
import { deleteOwnedLinks, findOtherOwner, type Owner, otherOwnerOf } from "./owner.ts";

/**
 * Deletes the link of the attachment's name, unless it is marked as another attachment's: that one was there first, and the ADD whose DEL this is has
 * failed because of it. Then, as without any, what bears the attachment's own mark goes, whatever it is called by now.
 *
 * @param marked Routing socket of the namespace that has the mark.
 */
export function deleteAttachedLink(
  netns: Namespace,
  attachment: Attachment<unknown>,
  marked: () => Connection = () => openRoute(netns),
): void {
  const { ifName } = attachment;
  const container = openRoute(netns);
  const link = findLink(container, ifName);
  const other = link && otherOwnerOf(link, attachment);
  if (other !== undefined) tellLeft(attachment, other);
  if (link === undefined || other !== undefined) deleteOwnedLinks(marked(), attachment);
  else if (wantsFastDelete()) deleteLinkFast(netns, ifName);
  else deleteLink(container, link.index);
}

/** Whether the container's link of the attachment's name is marked as another attachment's, so that nothing is to be changed on it; tells it on stderr. */
export function isLeftToOther(container: Connection, attachment: Attachment<unknown>): boolean {
  const other = findOtherOwner(container, attachment);
  if (other !== undefined) tellLeft(attachment, other);
  return other !== undefined;
}

function tellLeft({ network, netns, ifName }: Attachment<unknown>, other: Owner): void {
  const whose = `network ${JSON.stringify(other.network)} (container ${other.containerId}, interface ${other.ifName})`;
  writeStderr(`network ${JSON.stringify(network)}: "${ifName}" in ${netns} belongs to ${whose}: it is left as it is\n`);
}
