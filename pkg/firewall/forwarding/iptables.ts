/**
 * Allows forwarding through iptables: computes the changes of table filter from its present rules. Has no effects; the caller commits them.
 */

import type { AttachmentId } from "../../cni/attachment-id.ts";
import { type Address, formatAddress, parsePrefix } from "../../ip/address.ts";
import { type Family, familyOf } from "../family.ts";
import { type CanonicalRule, canonicalRule, commentOf, ruleWords, sameRule } from "../iptables/canonical.ts";
import type { Chain, Rule } from "../iptables/rule.ts";
import { type Change, type FoundRule, missing, type View, type Wanted } from "../iptables/ruleset.ts";
import {
  addressRules,
  asAnyRelease,
  bridgeRules,
  CNI_FORWARD,
  dropInto,
  FORWARD,
  filter,
  OWNERS,
  ownerRule,
  policyRules,
  STAGE_1,
  STAGE_2,
  sharedRules,
  TO_STAGE_1,
} from "./iptables-rules.ts";
import {
  type AddressOwnership,
  type ForwardingRequest,
  isIsolated,
  ownerId,
  ownershipComment,
  type Policy,
  parseOwnershipComment,
  policyWords,
  sameNetwork,
} from "./ownership.ts";

const ofFamily = (family: Family, addresses: readonly Address[]): Address[] =>
  addresses.filter((address) => familyOf(address) === family);

const deletion = (rule: FoundRule): Change => ({ delete: rule });

// --- Ownerships as rules -----------------------------------------------------------------------------------------------------------------

interface FoundOwnership extends AddressOwnership {
  rule: FoundRule;
}

/** Returns the ownerships that the rules record. @param containing A text or address in the wanted rules, so that fewer have to be read. */
function ownerships(view: View, family: Family, containing: string | Address): FoundOwnership[] {
  return view.rules(filter(family, OWNERS), containing).flatMap((rule): FoundOwnership[] => {
    const ownership = parseOwnershipComment(commentOf(rule.canonicalForm) ?? "");
    const address = sourceOf(rule.canonicalForm);
    return ownership === undefined || address === undefined ? [] : [{ ...ownership, address, rule }];
  });
}

function sourceOf(canonicalForm: CanonicalRule | undefined): Address | undefined {
  const source = canonicalForm?.find((part) => part.startsWith("-s "));
  return source === undefined ? undefined : parsePrefix(source.slice("-s ".length))?.address;
}

const same = (one: Address, other: Address): boolean => formatAddress(one) === formatAddress(other);

/** Returns all ownerships of the address, of any network. */
const ownershipsOf = (view: View, family: Family, address: Address): FoundOwnership[] =>
  ownerships(view, family, address).filter((found) => same(found.address, address));

/** Returns how many attachments rely on this policy for the bridge. Counts without decoding, which would be slow on a large network. */
const countUsers = (view: View, family: Family, policy: Policy): number =>
  view.rules(filter(family, OWNERS), policyWords(policy)).length;

// --- ADD ---------------------------------------------------------------------------------------------------------------------------------

/** The rules that iptables gets: those for addresses only where it is the backend, policies and ownerships in any case. */
export interface Scope {
  addressRules: boolean;
}

/** Returns the changes that add what is missing and delete what an earlier policy or owner left. */
export function allowChanges(view: View, family: Family, request: ForwardingRequest, scope: Scope): Change[] {
  const addresses = ofFamily(family, request.addresses);
  if (addresses.length === 0) return [];
  const policy = request.policy && effectivePolicy(view, family, request.owner, request.policy);
  const wanted = wantedRules(family, { ...request, addresses, policy }, scope);
  return [
    ...inFront(view, family, missing(view, wanted)),
    ...(policy === undefined ? [] : bridgeRulesThere(view, family, other(policy)).map(deletion)),
    ...addresses.flatMap((address) => entering(view, family, address, request)),
  ];
}

/** Returns all rules of the request but its ownerships, whether they are there or not. */
function wantedRules(
  family: Family,
  { addresses, policy, adminChain }: Omit<ForwardingRequest, "owner">,
  scope: Scope,
): Wanted[] {
  const own = ofFamily(family, addresses);
  if (own.length === 0) return [];
  const accepting = { ...filter(family, CNI_FORWARD), rules: own.flatMap(addressRules) };
  return [
    ...(scope.addressRules ? [...sharedRules(family, adminChain), accepting] : []),
    ...(policy === undefined ? [] : policyRules(family, policy)),
  ];
}

const other = (policy: Policy): Policy => ({ ...policy, isolated: !policy.isolated });

/**
 * Returns the policy that applies: the strictest of the networks that share the bridge. Isolation without a recorded ownership, as another
 * plugin makes it, stays too.
 */
function effectivePolicy(view: View, family: Family, owner: AttachmentId, policy: Policy): Policy {
  if (policy.isolated) return policy;
  const isolated = { ...policy, isolated: true };
  const isStill =
    (countUsers(view, family, isolated) > 0 &&
      isIsolated(policy.bridge, [...ownerships(view, family, policy.bridge), { id: ownerId(owner), policy }])) ||
    (bridgeRulesThere(view, family, isolated).length > 0 && hasOthers(view, family, []));
  return isStill ? isolated : policy;
}

/** Keeps the jump to isolation first: when a jump to CNI-FORWARD is added at the front, the one to isolation is moved before it. */
function inFront(view: View, family: Family, changes: readonly Change[]): Change[] {
  const adds = (chain: string) => changes.some((change) => "add" in change && jumpOf(change.add) === chain);
  if (!adds(CNI_FORWARD) || adds(STAGE_1)) return [...changes];
  const overtaken = view.jumps(filter(family, FORWARD), STAGE_1);
  if (overtaken.length === 0) return [...changes];
  return [...changes, ...overtaken.map(deletion), { add: TO_STAGE_1, to: filter(family, FORWARD), at: "first" }];
}

const jumpOf = ({ target }: Rule): string | undefined =>
  typeof target === "object" && "jump" in target ? target.jump : undefined;

/**
 * Records the ownership of the address unless it is recorded already. An older one of the same network is deleted: the address was
 * reassigned.
 */
function entering(view: View, family: Family, address: Address, { owner, policy }: ForwardingRequest): Change[] {
  const id = ownerId(owner);
  const text = ownershipComment(owner, policy);
  const found = ownershipsOf(view, family, address).filter((one) => sameNetwork(one.id, id));
  const isSame = ({ rule }: FoundOwnership) => commentOf(rule.canonicalForm) === text;
  const chain = filter(family, OWNERS);
  return [
    ...found.filter((one) => !isSame(one)).map(({ rule }) => deletion(rule)),
    ...(found.some(isSame)
      ? []
      : [
          ...missing(view, [{ ...chain, rules: [] }]),
          { add: ownerRule(address, text), to: chain, at: "last" } as const,
        ]),
  ];
}

// --- DEL, GC -----------------------------------------------------------------------------------------------------------------------------

/** The attachments that are to be removed. */
export interface Removal {
  isGone(id: string): boolean;
  /** A text that the ownership comments of all these attachments contain. */
  containing: string;
  /** The addresses in the attachment's result, used where another plugin made the rules and no ownership is recorded. */
  addresses: readonly Address[];
  /** The bridge in the attachment's result; undefined without a policy. */
  bridge: string | undefined;
}

export interface RemovalPlan {
  changes: Change[];
  /** Addresses that no attachment has any more. */
  freed: Address[];
  /** Addresses that another attachment has by now. */
  kept: Address[];
}

/** Plans the removal of what no remaining attachment needs. The rules of the next owner of an address stay. */
export function planRemoval(view: View, family: Family, { isGone, containing, ...told }: Removal): RemovalPlan {
  const gone = ownerships(view, family, containing).filter(({ id }) => isGone(id));
  const mayBeFree = [...gone.map(({ address }) => address), ...ofFamily(family, told.addresses)];
  const isFree = (address: Address) => ownershipsOf(view, family, address).every(({ id }) => isGone(id));
  const freed = unique(mayBeFree).filter(isFree);
  const bridges = new Set(gone.flatMap(({ policy }) => policy?.bridge ?? []));
  if (told.bridge !== undefined && freed.length > gone.length) bridges.add(told.bridge);
  return {
    freed,
    kept: unique(mayBeFree).filter((address) => !freed.includes(address)),
    changes: [
      ...leaving(view, family, gone),
      ...freed
        .flatMap((address) => rulesThere(view, filter(family, CNI_FORWARD), addressRules(address), address))
        .map(deletion),
      ...unneeded(view, family, [...bridges], { gone, freed }),
    ],
  };
}

const unique = (addresses: readonly Address[]): Address[] => [
  ...new Map(addresses.map((address) => [formatAddress(address), address])).values(),
];

/** Deletes the ownerships, and their chain with the last one. */
function leaving(view: View, family: Family, gone: readonly FoundOwnership[]): Change[] {
  if (gone.length === 0) return [];
  const owners = filter(family, OWNERS);
  return view.rules(owners).length === gone.length ? [{ drop: owners }] : gone.map(({ rule }) => deletion(rule));
}

/** Returns the changes that leave these bridges with the policy that the remaining attachments want. */
function unneeded(
  view: View,
  family: Family,
  bridges: readonly string[],
  { gone, freed }: { gone: readonly FoundOwnership[]; freed: readonly Address[] },
): Change[] {
  const isWanted = (policy: Policy) =>
    countUsers(view, family, policy) >
    gone.filter(({ rule }) => commentOf(rule.canonicalForm)?.includes(policyWords(policy))).length;
  const eased: Policy[] = [];
  const toDelete = bridges.flatMap((bridge): FoundRule[] => {
    const isolated: Policy = { bridge, isolated: true };
    if (isWanted(isolated)) return [];
    const open = other(isolated);
    const strict = bridgeRulesThere(view, family, isolated);
    if (!isWanted(open)) {
      const into = rulesThere(view, filter(family, STAGE_2), asAnyRelease(dropInto(bridge)));
      return [...strict, ...bridgeRulesThere(view, family, open), ...into];
    }
    if (strict.length > 0) eased.push(open);
    return strict;
  });
  if (toDelete.length === 0 || hasOthers(view, family, freed)) return [];
  if (eased.length > 0)
    return [...eased.flatMap((policy) => missing(view, policyRules(family, policy))), ...toDelete.map(deletion)];
  return withoutRest(view, family, toDelete);
}

/** Deletes the rules, and both chains when no other rule than RETURN remains. */
function withoutRest(view: View, family: Family, toDelete: readonly FoundRule[]): Change[] {
  const [stage1, stage2] = [filter(family, STAGE_1), filter(family, STAGE_2)];
  const ids = new Set(toDelete.map(({ id }) => id));
  const staying = view
    .rules(stage1)
    .filter(({ id, canonicalForm }) => !ids.has(id) && !canonicalForm?.includes("-j RETURN"));
  if (staying.length > 0) return toDelete.map(deletion);
  const jumps = view.jumps(filter(family, FORWARD), STAGE_1).map(deletion);
  const there = view.present([stage1, stage2]);
  return [...jumps, ...[stage1, stage2].filter((_, i) => there[i]).map((drop): Change => ({ drop }))];
}

/**
 * Reports whether CNI-FORWARD accepts addresses without a recorded ownership: of another plugin, or because the ownerships were flushed.
 */
function hasOthers(view: View, family: Family, except: readonly Address[]): boolean {
  const known = new Set([...except, ...ownerships(view, family, "").map(({ address }) => address)].map(formatAddress));
  return view.rules(filter(family, CNI_FORWARD)).some(({ canonicalForm }) => {
    const source = canonicalForm?.includes("-j ACCEPT") ? sourceOf(canonicalForm) : undefined;
    return source !== undefined && !known.has(formatAddress(source));
  });
}

const bridgeRulesThere = (view: View, family: Family, policy: Policy): FoundRule[] =>
  rulesThere(view, filter(family, STAGE_1), bridgeRules(policy), policy.bridge.replace(/\+$/, "")); // the kernel stores "br+" as "br"

function rulesThere(view: View, chain: Chain, rules: readonly Rule[], containing?: string | Address): FoundRule[] {
  const canonicalForms = rules.map((rule) => canonicalRule(chain.family, rule));
  return view
    .rules(chain, containing)
    .filter((found) => canonicalForms.some((canonicalForm) => sameRule(found.canonicalForm, canonicalForm)));
}

// --- CHECK -------------------------------------------------------------------------------------------------------------------------------

/** Returns a message about the first missing rule, worded as by the reference plugin. Ownerships may be missing: that plugin has none. */
export function missingRule(view: View, family: Family, request: ForwardingRequest, scope: Scope): string | undefined {
  const policy = request.policy && policyInForce(view, family, request.owner, request.policy);
  for (const { rules, ...chain } of wantedRules(family, { ...request, policy }, scope)) {
    const first = rules.find((rule) => !isThere(view, chain, rule));
    if (first !== undefined) return `expected ${nameOf(chain)}rule [${unquoted(ruleWords(family, first))}] not found`;
  }
  return undefined;
}

function isThere(view: View, chain: Chain, rule: Rule): boolean {
  const isOfPolicy = [chain.chain, jumpOf(rule)].some((name) => name === STAGE_1 || name === STAGE_2);
  return rulesThere(view, chain, isOfPolicy ? asAnyRelease(rule) : [rule]).length > 0;
}

/** Returns the chain's name for the message: the reference plugin names it except for the rules of addresses. */
const nameOf = ({ chain }: Chain): string => (chain === CNI_FORWARD ? "" : `${chain} `);
const unquoted = (words: readonly string[]): string => words.join(" ").replaceAll('"', "");

/**
 * Returns the policy that CHECK expects. The configuration may have changed since the ADD, so the recorded ownerships of the bridge decide.
 */
function policyInForce(view: View, family: Family, owner: AttachmentId, policy: Policy): Policy {
  const strict = { ...policy, isolated: true };
  const open = { ...policy, isolated: false };
  const [strictUsers, openUsers] = [countUsers(view, family, strict), countUsers(view, family, open)];
  if (strictUsers === 0 && openUsers === 0) return effectivePolicy(view, family, owner, policy);
  if (openUsers === 0) return strict;
  if (strictUsers === 0) return open;
  return { ...policy, isolated: isIsolated(policy.bridge, ownerships(view, family, policy.bridge)) };
}
