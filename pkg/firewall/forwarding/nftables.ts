/** Allows forwarding through nftables: adds elements to the sets of twill's table. */
import { type Address, formatAddress } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import type { SetElement } from "../../netlink/nftables/element.ts";
import { decode } from "../../sys/text.ts";
import { familyOf } from "../family.ts";
import {
  addElements,
  countElementsWith,
  deleteElements,
  elementsWith,
  findElement,
  interfaceKey,
  listElements,
  presentElements,
  type SetRef,
} from "../nftables/set.ts";
import { edit } from "../nftables/transaction.ts";
import type { Removal } from "./iptables.ts";
import {
  BRIDGES,
  CONTAINERS,
  jumpsToAdminChain,
  missingFixedRule,
  OPEN_BRIDGES,
  readTable,
  tableRequests,
  withinKey,
} from "./nftables-table.ts";
import {
  type AddressOwnership,
  type ForwardingRequest,
  ownerId,
  ownershipComment,
  type Policy,
  parseOwnershipComment,
  policyWords,
  sameNetwork,
} from "./ownership.ts";

const setOf = (address: Address): SetRef => CONTAINERS[familyOf(address)];

const SETS: readonly SetRef[] = [CONTAINERS.ip, CONTAINERS.ip6];

/** Returns the ownerships of both families. @param containing A text that their comments contain */
const ownerships = (netfilter: Connection, containing: string): AddressOwnership[] =>
  SETS.flatMap((set) => elementsWith(netfilter, set, containing).flatMap((element) => ownershipOf(element) ?? []));

/** Returns how many addresses have this policy. Counts without decoding, which would be slow on a large network. */
const countUsers = (netfilter: Connection, policy: Policy): number =>
  SETS.reduce((sum, set) => sum + countElementsWith(netfilter, set, policyWords(policy)), 0);

function ownershipOf({ key, userdata }: SetElement): AddressOwnership | undefined {
  const ownership = parseOwnershipComment(userdata?.comment ?? "");
  return ownership === undefined || key?.value === undefined ? undefined : { ...ownership, address: key.value };
}

// --- ADD ---------------------------------------------------------------------------------------------------------------------------------

export function allowByNftables(netfilter: Connection, request: ForwardingRequest): void {
  edit(netfilter, () => ({ requests: admitting(netfilter, request) }));
}

/** Returns the requests that add what is missing and delete what an earlier policy or owner left. */
function admitting(netfilter: Connection, request: ForwardingRequest): Request[] {
  const { addresses, policy, adminChain } = request;
  if (addresses.length === 0) return [];
  return [
    ...tableRequests(readTable(netfilter), adminChain),
    ...(policy === undefined ? [] : policyRequests(netfilter, effectivePolicy(netfilter, request, policy))),
    ...addresses.flatMap((address) => entering(netfilter, address, request)),
  ];
}

/**
 * Returns the policy that applies: the strictest of the networks that share the bridge. Elements are read only where a bridge would be
 * opened. The kernel lists them in no order, so they do not tell which attachment of a network was its last: each counts.
 */
function effectivePolicy(netfilter: Connection, { owner }: ForwardingRequest, policy: Policy): Policy {
  if (policy.isolated || isAsWanted(netfilter, policy)) return policy;
  const id = ownerId(owner);
  const isolated = ownerships(netfilter, policy.bridge).some(
    (other) => !sameNetwork(other.id, id) && other.policy?.bridge === policy.bridge && other.policy.isolated,
  );
  return { ...policy, isolated };
}

const isAsWanted = (netfilter: Connection, { bridge, isolated }: Policy): boolean => {
  const [hasPolicy, isOpen] = presence(netfilter, bridge);
  return hasPolicy === true && isOpen === !isolated;
};

const presence = (netfilter: Connection, bridge: string): boolean[] =>
  presentElements(netfilter, [
    { place: BRIDGES, key: interfaceKey(bridge) },
    { place: OPEN_BRIDGES, key: withinKey(bridge) },
  ]);

function policyRequests(netfilter: Connection, { bridge, isolated }: Policy): Request[] {
  const [hasPolicy, isOpen] = presence(netfilter, bridge);
  const within = withinKey(bridge);
  return [
    ...(hasPolicy ? [] : addElements(BRIDGES, [{ key: interfaceKey(bridge) }])),
    ...(isolated && isOpen ? deleteElements(OPEN_BRIDGES, [within]) : []),
    ...(isolated || isOpen ? [] : addElements(OPEN_BRIDGES, [{ key: within }])),
  ];
}

/** Adds the address to its set. A set has an address once: it belongs to the attachment that came last. */
function entering(netfilter: Connection, address: Address, { owner, policy }: ForwardingRequest): Request[] {
  const set = setOf(address);
  const comment = ownershipComment(owner, policy);
  const found = findElement(netfilter, set, address);
  if (found?.userdata?.comment === comment) return [];
  return [
    ...(found === undefined ? [] : deleteElements(set, [address])),
    ...addElements(set, [{ key: address }], { comment }),
  ];
}

// --- DEL, GC -----------------------------------------------------------------------------------------------------------------------------

/** Deletes the elements of the attachments that are gone, and the policies that only they needed. */
export function revokeByNftables(netfilter: Connection, { isGone, containing }: Removal): void {
  edit(netfilter, () => {
    const gone = ownerships(netfilter, containing).filter(({ id }) => isGone(id));
    const bridges = new Set(gone.flatMap(({ policy }) => policy?.bridge ?? []));
    const requests = [
      ...gone.flatMap(({ address }) => deleteElements(setOf(address), [address])),
      ...[...bridges].flatMap((bridge) => unneeded(netfilter, bridge, gone)),
    ];
    return { requests };
  });
}

/** Returns the requests that leave the bridge with the policy that the remaining attachments want. */
function unneeded(netfilter: Connection, bridge: string, gone: readonly AddressOwnership[]): Request[] {
  const isWanted = (policy: Policy) =>
    countUsers(netfilter, policy) >
    gone.filter((one) => one.policy?.bridge === bridge && one.policy.isolated === policy.isolated).length;
  if (isWanted({ bridge, isolated: true })) return [];
  if (isWanted({ bridge, isolated: false })) return policyRequests(netfilter, { bridge, isolated: false });
  return [BRIDGES, OPEN_BRIDGES].flatMap((set) => {
    const keys = (listElements(netfilter, set) ?? []).flatMap(({ key }) =>
      key?.value !== undefined && isOfBridge(key.value, bridge) ? [key.value] : [],
    );
    return keys.length > 0 ? deleteElements(set, keys) : [];
  });
}

/**
 * Compares up to the NUL: twill 0.1.0 also wrote names with a NUL, and the kernel kept the text behind it in the key, but not in the
 * comment.
 */
const isOfBridge = (key: Uint8Array, bridge: string): boolean => decode(key, 0, key.indexOf(0)) === bridge;

// --- CHECK -------------------------------------------------------------------------------------------------------------------------------

/** Returns the first difference from what `allowByNftables` makes; undefined when there is none. */
export function findNftablesDeviation(netfilter: Connection, request: ForwardingRequest): string | undefined {
  const { addresses, policy, adminChain } = request;
  if (addresses.length === 0) return undefined;
  const table = readTable(netfilter);
  const rule = missingFixedRule(table);
  if (rule !== undefined)
    return `the rule "${rule.comment}" is missing in chain ${rule.chain} of table inet twill_firewall`;
  if (!jumpsToAdminChain(table, adminChain))
    return `chain ${adminChain} is not called in chain forward of table inet twill_firewall`;
  const address = addresses.find((one) => findElement(netfilter, setOf(one), one) === undefined);
  if (address !== undefined)
    return `address ${formatAddress(address)} is not in set ${setOf(address).set} of table inet twill_firewall`;
  return policy && findPolicyDeviation(netfilter, policy);
}

/** Returns a message when the bridge's policy is not the one that all attachments of the bridge together ask for. */
function findPolicyDeviation(netfilter: Connection, { bridge }: Policy): string | undefined {
  const [hasPolicy, isOpen] = presence(netfilter, bridge);
  if (!hasPolicy) return `bridge "${bridge}" is not in set bridges of table inet twill_firewall`;
  const users = ownerships(netfilter, bridge).filter(({ policy }) => policy?.bridge === bridge);
  const isolated = !users.some(({ policy }) => policy?.isolated === false);
  if (isolated && isOpen)
    return `bridge "${bridge}" is in set open_bridges of table inet twill_firewall, must not be: it is isolated`;
  const open = !users.some(({ policy }) => policy?.isolated);
  return open && !isOpen ? `bridge "${bridge}" is not in set open_bridges of table inet twill_firewall` : undefined;
}
