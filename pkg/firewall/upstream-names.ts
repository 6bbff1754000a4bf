// What the reference plugins call the things they make in the firewall: who deletes them later, they or we, finds them by these names.
// Source: containernetworking/plugins, pkg/utils and pkg/ip, as read in release 1.9.1.

import { hex } from "../bytes/hex.ts";
import { sha512 } from "../bytes/sha512.ts";
import { encode } from "../sys/text.ts";

/** An attachment of a container to a network. */
export interface Owner {
  network: string;
  containerId: string;
  ifName: string;
}

/** Of an iptables chain: its limit. */
const CHAIN_NAME_LENGTH = 28;
/** Of a link: IFNAMSIZ - 1. */
const LINK_NAME_LENGTH = 15;

/** `prefix` and as much of the hash of `text` in hexadecimal as makes `length` characters. */
export function hashedName(prefix: string, text: string, length: number): string {
  return (
    prefix + hex(sha512(encode(text)).subarray(0, (length - prefix.length + 1) >> 1)).slice(0, length - prefix.length)
  );
}

/** The container's own chain, `CNI-…`; of another plugin than the masquerade with a prefix, `CNI-DN-…`. The interface does not count. */
export function chainName({ network, containerId }: Omit<Owner, "ifName">, prefix = ""): string {
  return hashedName(`CNI-${prefix}`, network + containerId, CHAIN_NAME_LENGTH);
}

/** `name: "podnet" id: "3f2a"`, the comment of iptables rules. */
export function ruleComment({ network, containerId }: Omit<Owner, "ifName">): string {
  return `name: ${JSON.stringify(network)} id: ${JSON.stringify(containerId)}`;
}

/** iptables allows no longer comment. In bytes. */
const RULE_COMMENT_MAX = 255;

/** `name: "podnet" id: "3f2a" if: "eth0"`, the comment of iptables rules that say whose an address is; hashes where that does not fit. */
export function ownerComment(owner: Owner): string {
  const ending = ` if: ${JSON.stringify(owner.ifName)}`;
  const text = ruleComment(owner) + ending;
  return encode(text).length <= RULE_COMMENT_MAX ? text : masqueradeId(owner) + ending;
}

/** Whether it is the owner comment of any attachment to the network. */
export function isOwnerCommentOf(comment: string, network: string): boolean {
  return (
    (comment.startsWith(`name: ${JSON.stringify(network)} id: `) && comment.includes(`" if: "`)) ||
    comment.startsWith(`${networkId(network)}-`)
  );
}

/** The container ID in a comment of that form; undefined when it is another network's or another comment. */
export function containerIdOf(comment: string, network: string): string | undefined {
  const before = `name: ${JSON.stringify(network)} id: `;
  if (!comment.startsWith(before)) return undefined;
  return /^"((?:[^"\\]|\\.)*)"$/.exec(comment.slice(before.length))?.[1]?.replace(/\\(.)/g, "$1");
}

/** What begins the comments of all masquerade rules of a network in nftables. */
export function networkId(network: string): string {
  return hashedName("", network, 16);
}

/** What begins the comments of an attachment's masquerade rules in nftables. */
export function masqueradeId({ network, containerId, ifName }: Owner): string {
  return `${networkId(network)}-${hashedName("", `${ifName}:${containerId}`, 16)}`;
}

/** nft allows no longer comment. In bytes. */
const COMMENT_MAX = 128;

/** The comment of an attachment's masquerade rules in nftables: its ID, then text for people, cut where the room ends. */
export function masqueradeComment(owner: Owner, id = masqueradeId(owner)): string {
  const { network, containerId, ifName } = owner;
  const words = `, net: ${network}, if: ${ifName}, id: ${containerId}`.replaceAll('"', "");
  return (id + words).slice(0, COMMENT_MAX);
}

/** The ifb device that shapes a container's outgoing traffic. */
export function ifbName({ network, containerId }: Omit<Owner, "ifName">): string {
  return hashedName("bwp", network + containerId, LINK_NAME_LENGTH);
}
