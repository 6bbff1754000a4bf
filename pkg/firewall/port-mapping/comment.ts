/** Whose an element or a rule of nftables is, for people too. */
import type { Owner } from "../upstream-names.ts";

/** In bytes; nft allows no longer comment. */
export const COMMENT_MAX = 128;

/** What comes first is what must not be cut. */
export function commentFor({ network, containerId, ifName }: Owner): string {
  return `id: ${containerId}, if: ${ifName}, net: ${network}`.replaceAll('"', "").slice(0, COMMENT_MAX);
}

/** What such a comment tells; a network whose name was cut is not told. */
export function ownerIn(comment: string): { network: string | undefined; containerId: string | undefined } {
  const [, containerId, network] = /^id: ([^,]*), if: [^,]*, net: (.*)$/.exec(comment) ?? [];
  return { containerId, network: comment.length < COMMENT_MAX ? network : undefined };
}
