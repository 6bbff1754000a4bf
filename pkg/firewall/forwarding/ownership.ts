/**
 * Records which attachment an address belongs to, and which policy it asks for on its bridge. The reference plugin's rules name only an
 * address: a late DEL would delete the rules of the next container that has the address, and nothing tells when a bridge's policy is no
 * longer needed. So each ADD also writes its ownerships, in the same transaction as the rules: as the comment of a rule that no packet
 * reaches (iptables), or of a set element (nftables).
 *
 * Rejected: a comment on the rules themselves, since the reference plugin's DEL would not find rules that have one; files, which would be
 * wrong after a reboot, in another network namespace or after a flush of the rules; the runtime's result cache, which belongs to the
 * runtime.
 */
import type { AttachmentId } from "../../cni/attachment-id.ts";
import type { Address } from "../../ip/address.ts";
import { masqueradeComment, masqueradeId, networkId } from "../upstream-names.ts";

/** An ingress policy: nothing passes between this bridge and others with a policy; if isolated, nor between its own ports. */
export interface Policy {
  bridge: string;
  isolated: boolean;
}

export interface AddressOwnership {
  /** The ID of the attachment; begins with that of its network. */
  id: string;
  address: Address;
  policy: Policy | undefined;
}

/** An attachment and the addresses that forwarding is to be allowed for. */
export interface ForwardingRequest {
  owner: AttachmentId;
  addresses: readonly Address[];
  policy: Policy | undefined;
  /** Name of the chain for the administrator's own rules. */
  adminChain: string;
}

export const ownerId = masqueradeId;

/** Returns the beginning of the IDs of all attachments to the network. */
export const ownerIdPrefix = (network: string): string => `${networkId(network)}-`;

const networkOf = (id: string): string => id.slice(0, id.indexOf("-") + 1);

const POLICY_WORDS = { true: "isolated", false: "same-bridge" } as const;

/** Returns the text that the comments of all ownerships with this policy for the bridge contain. */
export const policyWords = ({ bridge, isolated }: Policy): string => `, ${POLICY_WORDS[`${isolated}`]} ${bridge},`;

/** Returns a comment such as `6fd94d501e58f0aa-287fc69eff0574a2, isolated cni0, net: podnet, if: eth0, id: 3f2a`. */
export function ownershipComment(owner: AttachmentId, policy: Policy | undefined): string {
  const words = policy === undefined ? "" : policyWords(policy).slice(0, -1);
  return masqueradeComment(owner, ownerId(owner) + words);
}

/**
 * Returns undefined for any other comment. Twill 0.1.0 accepted any text as the bridge's name: with blanks, or with a NUL, at which the
 * kernel ends the comment.
 */
export function parseOwnershipComment(comment: string): Omit<AddressOwnership, "address"> | undefined {
  const [, id, word, bridge] =
    /^([0-9a-f]{16}-[0-9a-f]{16}), (?:(isolated|same-bridge) (.+?)(?:, net: |$)|net: )/s.exec(comment) ?? [];
  if (id === undefined) return undefined;
  return { id, policy: bridge === undefined ? undefined : { bridge, isolated: word === POLICY_WORDS.true } };
}

/**
 * Reports whether the bridge's containers are to be kept apart. Each network has one policy, that of its last attachment: the configuration
 * may have changed before it. Where networks share a bridge, the strictest policy applies.
 *
 * @param ownerships The ownerships in the order in which they were added.
 */
export function isIsolated(bridge: string, ownerships: readonly Omit<AddressOwnership, "address">[]): boolean {
  const byNetwork = new Map(
    ownerships.flatMap(({ id, policy }) => (policy?.bridge === bridge ? [[networkOf(id), policy.isolated]] : [])),
  );
  return [...byNetwork.values()].includes(true);
}

export const sameNetwork = (one: string, other: string): boolean => networkOf(one) === networkOf(other);
