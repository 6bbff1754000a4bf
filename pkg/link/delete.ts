/** Deleting what an attachment has in its container, by DEL. */
import type { Attachment } from "../cni/plugin.ts";
import { writeStderr } from "../cni/process-io.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Namespace } from "../sys/namespace.ts";
import { deleteLinkFast, wantsFastDelete } from "./fast-delete.ts";
import { deleteLink, findLink, type Link, openRoute } from "./link.ts";
import { deleteOwnedLinks, findOtherOwner, nameOnHost, type Owner, otherOwnerOf } from "./owner.ts";

/**
 * Deletes the link of the attachment's name, unless it is marked as another attachment's or host-device has moved it there: that one was there first, and
 * the ADD whose DEL this is has failed because of it. Then, as without any, what bears the attachment's own mark goes, whatever it is called by now.
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
  const whose = link && whoseInstead(link, attachment);
  if (whose !== undefined) tellLeft(attachment, whose);
  if (link === undefined || whose !== undefined) deleteOwnedLinks(marked(), attachment);
  else if (wantsFastDelete()) deleteLinkFast(netns, ifName);
  else deleteLink(container, link.index);
}

/** Completes `"eth0" …`: whose the link is, if not the attachment's. */
function whoseInstead(link: Link, attachment: Attachment<unknown>): string | undefined {
  const other = otherOwnerOf(link, attachment);
  if (other !== undefined) return belongsTo(other);
  const device = nameOnHost(link);
  return device === undefined ? undefined : `is "${device}" of the host, which host-device has moved there`;
}

/** Whether the container's link of the attachment's name is marked as another attachment's, so that nothing is to be changed on it; tells it on stderr. */
export function isLeftToOther(container: Connection, attachment: Attachment<unknown>): boolean {
  const other = findOtherOwner(container, attachment);
  if (other !== undefined) tellLeft(attachment, belongsTo(other));
  return other !== undefined;
}

const belongsTo = ({ network, containerId, ifName }: Owner): string =>
  `belongs to network ${JSON.stringify(network)} (container ${containerId}, interface ${ifName})`;

function tellLeft({ network, netns, ifName }: Attachment<unknown>, whose: string): void {
  writeStderr(`network ${JSON.stringify(network)}: "${ifName}" in ${netns} ${whose}: it is left as it is\n`);
}
