/**
 * Whose address it is, and which policy the bridge has for its sake. The reference plugin's rules name an address and nobody: a DEL that comes late would delete
 * the rules of the next container that has the address, and nobody knows when a bridge's policy is no longer needed. So each admission also leaves
 * its tenancies, in the same transaction as the rules: a comment on a rule that no packet meets (iptables), or on the element of a set (nftables).
 *
 * Rejected: comments on the rules themselves, without which the reference plugin's DEL does not find them; files, which a reboot, another network namespace and a
 * flush of the rules would all leave wrong; the runtime's cache of results, which is the runtime's.
 */
import type { Address } from "../../ip/address.ts";
import { masqueradeComment, masqueradeId, networkId, type Owner } from "../upstream-names.ts";

/** What may come from other bridges, and from other ports of this one, if isolated. */
export interface Policy {
  bridge: string;
  isolated: boolean;
}

export interface AddressOwnership {
  /** Of the attachment; begins with that of its network. */
  id: string;
  address: Address;
  policy: Policy | undefined;
}

/** An attachment that wants its addresses let through. */
export interface ForwardingRequest {
  owner: Owner;
  addresses: readonly Address[];
  policy: Policy | undefined;
  /** Name of the chain for the administrator's own rules. */
  adminChain: string;
}

export const ownerId = masqueradeId;

/** What begins the IDs of all tenants of the network. */
export const ownerIdPrefix = (network: string): string => `${networkId(network)}-`;

const networkOf = (id: string): string => id.slice(0, id.indexOf("-") + 1);

const POLICY_WORDS = { true: "isolated", false: "same-bridge" } as const;

/** What stands in the comments of all tenancies with this policy for the bridge; of either policy where none is named. */
export const policyWords = ({ bridge, isolated }: Policy): string => `, ${POLICY_WORDS[`${isolated}`]} ${bridge},`;

/** `6fd94d501e58f0aa-287fc69eff0574a2, isolated cni0, net: podnet, if: eth0, id: 3f2a` */
export function ownershipComment(owner: Owner, policy: Policy | undefined): string {
  const words = policy === undefined ? "" : policyWords(policy).slice(0, -1);
  return masqueradeComment(owner, ownerId(owner) + words);
}

/**
 * undefined for another comment. Twill 0.1.0 took any text for the bridge's name: with blanks, and with a NUL, where the kernel ends
 * the comment.
 */
export function parseOwnershipComment(comment: string): Omit<AddressOwnership, "address"> | undefined {
  const [, id, word, bridge] =
    /^([0-9a-f]{16}-[0-9a-f]{16}), (?:(isolated|same-bridge) (.+?)(?:, net: |$)|net: )/s.exec(comment) ?? [];
  if (id === undefined) return undefined;
  return { id, policy: bridge === undefined ? undefined : { bridge, isolated: word === POLICY_WORDS.true } };
}

/**
 * Whether the bridge's containers are to be kept apart. The tenants of one network have one policy, the one that came last: its configuration
 * has been changed since. Where networks share a bridge, the stricter one counts.
 *
 * @param ownerships In the order in which they came.
 */
export function isIsolated(bridge: string, ownerships: readonly Omit<AddressOwnership, "address">[]): boolean {
  const byNetwork = new Map(
    ownerships.flatMap(({ id, policy }) => (policy?.bridge === bridge ? [[networkOf(id), policy.isolated]] : [])),
  );
  return [...byNetwork.values()].includes(true);
}

export const sameNetwork = (one: string, other: string): boolean => networkOf(one) === networkOf(other);
