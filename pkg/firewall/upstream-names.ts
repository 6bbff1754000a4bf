// The names that the reference plugins give to their chains, rules and links. Either set of plugins finds by them what the other made.
// Source: containernetworking/plugins, pkg/utils and pkg/ip, as read in release 1.9.1.

import { hex } from "../bytes/hex.ts";
import type { AttachmentId } from "../cni/attachment-id.ts";
import { IFNAMSIZ } from "../netlink/rtnetlink/link/name.ts";
import { sha512 } from "../sys/sha512.ts";
import { encode } from "../sys/text.ts";

/** The longest name of an iptables chain. */
const CHAIN_NAME_LENGTH = 28;
const LINK_NAME_LENGTH = IFNAMSIZ - 1;

/** Returns `prefix` followed by as many hexadecimal digits of the hash of `text` as make `length` characters. */
export function hashedName(prefix: string, text: string, length: number): string {
  return (
    prefix + hex(sha512(encode(text)).subarray(0, (length - prefix.length + 1) >> 1)).slice(0, length - prefix.length)
  );
}

/**
 * Returns the name of the container's own chain: `CNI-…` for the masquerade, with a prefix for other plugins (`CNI-DN-…`). The interface is
 * not part of it.
 */
export function chainName({ network, containerId }: Omit<AttachmentId, "ifName">, prefix = ""): string {
  return hashedName(`CNI-${prefix}`, network + containerId, CHAIN_NAME_LENGTH);
}

/** The longest comment that iptables allows, in bytes. */
const RULE_COMMENT_MAX = 255;

/** Returns the comment of iptables rules: `name: "podnet" id: "3f2a"`, cut to the longest comment. Both names are ASCII. */
export function ruleComment({ network, containerId }: Omit<AttachmentId, "ifName">): string {
  return `name: ${JSON.stringify(network)} id: ${JSON.stringify(containerId)}`.slice(0, RULE_COMMENT_MAX);
}

/** Returns the comment of an owner rule of iptables: `name: "podnet" id: "3f2a" if: "eth0"`, with hashes where that is too long. */
export function ownerComment(owner: AttachmentId): string {
  const ending = ` if: ${JSON.stringify(owner.ifName)}`;
  const text = ruleComment(owner) + ending;
  return encode(text).length <= RULE_COMMENT_MAX ? text : masqueradeId(owner) + ending;
}

/** Reports whether a comment is the owner comment of an attachment to the network. */
export function isOwnerCommentOf(comment: string, network: string): boolean {
  return (
    (comment.startsWith(`name: ${JSON.stringify(network)} id: `) && comment.includes(`" if: "`)) ||
    comment.startsWith(`${networkId(network)}-`)
  );
}

/** Returns the container ID in a `ruleComment` of the network; undefined for any other comment. */
export function containerIdOf(comment: string, network: string): string | undefined {
  const before = `name: ${JSON.stringify(network)} id: `;
  if (!comment.startsWith(before)) return undefined;
  return /^"((?:[^"\\]|\\.)*)"$/.exec(comment.slice(before.length))?.[1]?.replace(/\\(.)/g, "$1");
}

/** Returns the beginning of the comments of all masquerade rules of a network in nftables. */
export function networkId(network: string): string {
  return hashedName("", network, 16);
}

/** Returns the beginning of the comments of an attachment's masquerade rules in nftables. */
export function masqueradeId({ network, containerId, ifName }: AttachmentId): string {
  return `${networkId(network)}-${hashedName("", `${ifName}:${containerId}`, 16)}`;
}

/** The longest comment that nft allows, in bytes. */
const COMMENT_MAX = 128;

/** Returns the comment of an attachment's masquerade rules in nftables: its ID, then readable text, cut to the longest comment. */
export function masqueradeComment(owner: AttachmentId, id = masqueradeId(owner)): string {
  const { network, containerId, ifName } = owner;
  const words = `, net: ${network}, if: ${ifName}, id: ${containerId}`.replaceAll('"', "");
  return (id + words).slice(0, COMMENT_MAX);
}

/** Returns the name of the ifb device that shapes a container's outgoing traffic. */
export function ifbName({ network, containerId }: Omit<AttachmentId, "ifName">): string {
  return hashedName("bwp", network + containerId, LINK_NAME_LENGTH);
}
