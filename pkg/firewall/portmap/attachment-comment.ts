/** The comments that name the attachment that an element or a rule of nftables belongs to, readable for administrators too. */
import type { AttachmentId } from "../../cni/attachment-id.ts";

/** The longest comment that nft allows, in bytes. */
export const COMMENT_MAX = 128;

/** Returns the comment of an attachment, cut to the longest one. The container's ID comes first so that it is never cut. */
export function commentFor({ network, containerId, ifName }: AttachmentId): string {
  return `id: ${containerId}, if: ${ifName}, net: ${network}`.replaceAll('"', "").slice(0, COMMENT_MAX);
}

/** Returns the network and container that such a comment names; no network when its name may have been cut. */
export function ownerIn(comment: string): { network: string | undefined; containerId: string | undefined } {
  const [, containerId, network] = /^id: ([^,]*), if: [^,]*, net: (.*)$/.exec(comment) ?? [];
  return { containerId, network: comment.length < COMMENT_MAX ? network : undefined };
}
