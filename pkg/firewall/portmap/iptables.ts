// Port mappings through iptables: adds, checks and deletes the rules, and finds port conflicts.

import type { AttachmentId } from "../../cni/attachment-id.ts";
import type { NamedStep } from "../../cni/best-effort-del.ts";
import { invalidConf } from "../../cni/error.ts";
import { formatAddress, type Prefix, parseAddress } from "../../ip/address.ts";
import type { Connection } from "../../netlink/connection.ts";
import { hostIsLittle } from "../../netlink/wire.ts";
import { encode } from "../../sys/text.ts";
import type { Family } from "../family.ts";
import {
  departureOf,
  goes,
  type OwnerRule,
  ownerRule,
  ownerRulesIn,
  type Removal,
  staleOf,
} from "../iptables/address-owner.ts";
import { type CanonicalRule, canonicalRule, commentOf, sameRule, targetOf } from "../iptables/canonical.ts";
import { deletionSteps, editTables } from "../iptables/host.ts";
import type { Chain, Rule } from "../iptables/rule.ts";
import { type Change, type FoundRule, missing, type View } from "../iptables/ruleset.ts";
import { ruleComment } from "../upstream-names.ts";
import { conditionsOf } from "./iptables-conditions.ts";
import { matchInOrder } from "./iptables-repetition.ts";
import {
  DNAT,
  type Entry,
  entriesOf,
  entryComment,
  isEntryOfNetwork,
  nat,
  OLD_SNAT,
  oldSnatChain,
  ownerIn,
  portChain,
  portRules,
  sharedRules,
} from "./iptables-rules.ts";
import type { ConflictPolicy, Deletion, Holder, Removed } from "./port-conflict.ts";
import {
  type HostPort,
  type MappingSet,
  mappingsFor,
  type PortMapping,
  PROTOCOL_NUMBERS,
  type Protocol,
} from "./port-mapping.ts";

type Container = Omit<AttachmentId, "ifName">;

/**
 * Publishes the ports of all families. Rules that the attachment has already are replaced unless they are the same.
 *
 * @throws CniError of `conflictPolicy`
 */
export function addByIptables(
  netfilter: () => Connection,
  mappingSets: readonly MappingSet[],
  conflictPolicy: ConflictPolicy,
): void {
  edit(netfilter, mappingSets, (view, mappingSet) => publishing(view, mappingSet, conflictPolicy));
}

/** Reports whether there are conditions that only iptables understands. */
export const needsProgram = ({ conditions }: MappingSet): boolean => conditionsOf(conditions).words !== undefined;

function edit(
  netfilter: () => Connection,
  mappingSets: readonly MappingSet[],
  work: (view: View, mappingSet: MappingSet) => Change[],
): void {
  editTables(
    netfilter,
    mappingSets.map(({ family }) => ({ family, table: "nat" })),
    (view, { family }) => mappingSets.filter((one) => one.family === family).flatMap((one) => work(view, one)),
    { throughProgram: mappingSets.some(needsProgram) },
  );
}

/** Returns the changes that publish the ports, or repair the publication. */
export function publishing(view: View, mappingSet: MappingSet, conflictPolicy: ConflictPolicy): Change[] {
  const { family, owner } = mappingSet;
  needMarkChain(view, mappingSet);
  const own = portChain(family, owner);
  const isThere = view.present([own])[0] === true;
  const conflicts = conflictsOf(view, mappingSet, own);
  const dead = conflicts.filter(
    ({ port, holder, isSame }) => isSame && conflictPolicy(mappingSet, port, holder) === "replace",
  );
  return [
    ...removals(view, family, dead),
    ...missing(view, sharedRules(mappingSet)),
    ...replacement(view, mappingSet, { isThere, conflicts }),
  ];
}

/** @throws CniError 7: the chain that is to mark packets for masquerade does not exist */
function needMarkChain(view: View, { family, snat, externalSetMarkChain: chain }: MappingSet): void {
  if (!snat || chain === undefined || view.present([nat(family, chain)])[0] === true) return;
  throw invalidConf(
    `"externalSetMarkChain" is "${chain}", which is no chain of table nat of ${family}tables`,
    `remove "externalSetMarkChain", so that portmap marks packets itself (KUBE-MARK-MASQ: kubelets make none since Kubernetes 1.28, nor does kube-proxy in mode nftables); or make the chain first: for one in iptables ip6tables; do $one -t nat -N ${chain}; done`,
  );
}

/** Returns the changes after which the attachment has exactly the wanted rules in its chain, and the wanted entries to it. */
function replacement(
  view: View,
  mappingSet: MappingSet,
  { isThere, conflicts }: { isThere: boolean; conflicts: readonly Conflict[] },
): Change[] {
  const { owner, container } = mappingSet;
  const own = portChain(mappingSet.family, owner);
  const entries = entriesOf(mappingSet);
  const ownerRules = [ownerRule(owner, container.address)];
  if (isThere && isPublished(view, mappingSet, { entries, ownerRules })) return [];
  const found = isThere ? partOf(view, own, replacing(owner, container), isEntryOf(owner)) : NOTHING;
  const isSame = isThere && areAllRules(found.rules, mappingSet) && areAll(own.family, found.entries, entries);
  if (isSame && isAsWanted(own.family, found.owners, ownerRules)) return [];
  if (isSame && found.owners.length === 0) return ownerRules.map((add): Change => ({ add, to: own, at: "last" }));
  return [
    ...[...found.entries, ...found.rules, ...found.owners].map((rule): Change => ({ delete: rule })),
    ...(isThere ? [] : [{ make: own }]),
    ...[...portRules(mappingSet), ...ownerRules].map((add): Change => ({ add, to: own, at: "last" })),
    ...entries.map((entry): Change => {
      return { add: entry.rule, to: nat(own.family, DNAT), at: comesFirst(entry, conflicts) ? "first" : "last" };
    }),
  ];
}

/** Reports whether the chain is this attachment's alone and as wanted, with its entries, so that its parts need not be told apart. */
function isPublished(
  view: View,
  mappingSet: MappingSet,
  { entries, ownerRules }: { entries: readonly Entry[]; ownerRules: readonly Rule[] },
): boolean {
  const own = portChain(mappingSet.family, mappingSet.owner);
  const found = view.rules(own);
  const [rules, owners] = [found.slice(0, -ownerRules.length), found.slice(-ownerRules.length)];
  return (
    isAsWanted(own.family, owners, ownerRules) &&
    areAllRules(rules, mappingSet) &&
    areAll(own.family, view.jumps(nat(own.family, DNAT), own.chain), entries)
  );
}

/** Returns the removal of everything that the attachment has; without an owner rule also what it had under another address. */
function replacing(owner: AttachmentId, container: Prefix): Removal {
  const own = departureOf(owner, [container]);
  const unowned = departureOf(owner, []);
  return {
    ...own,
    isGoneUnowned: (...of) => own.isGoneUnowned(...of) || unowned.isGoneUnowned(...of),
  };
}

function isAsWanted(family: Family, found: readonly FoundRule[], wanted: readonly Rule[]): boolean {
  return (
    found.length === wanted.length &&
    wanted.every((rule, i) => sameRule(found[i]?.canonicalForm, canonicalRule(family, rule)))
  );
}

/** Reports whether the rules are those of the mappings, in order. */
function areAllRules(found: readonly FoundRule[], mappingSet: MappingSet): boolean {
  const { matched, others } = matchInOrder(found, mappingSet);
  return matched === found.length && others.length === 0;
}

/** Reports whether the entries are as wanted. */
const areAll = (family: Family, found: readonly FoundRule[], wanted: readonly Entry[]): boolean =>
  found.length === wanted.length && missingEntry(family, found, wanted, isSameEntry) === undefined;

type EntryMatch = (found: FoundRule, rule: Rule, canonicalForm: CanonicalRule) => boolean;

/** Compares an entry. iptables may print words that only it understands in another form, so only the rest is compared. */
const isSameEntry: EntryMatch = (found, { words }, canonicalForm) =>
  words === undefined ? sameRule(found.canonicalForm, canonicalForm) : includesAll(found, undefined, canonicalForm);

const includesAll = ({ canonicalForm: found }: FoundRule, _: unknown, canonicalForm: CanonicalRule): boolean =>
  canonicalForm.every((part) => found?.includes(part));

/** Returns the first wanted entry that is nowhere. There may be thousands: each is looked for where it should be first. */
function missingEntry(
  family: Family,
  found: readonly FoundRule[],
  wanted: readonly Entry[],
  isMatch: EntryMatch,
): Entry | undefined {
  return wanted.find(({ rule }, i) => {
    const canonicalForm = canonicalRule(family, rule);
    const is = (entry: FoundRule | undefined) => entry !== undefined && isMatch(entry, rule, canonicalForm);
    return !is(found[i]) && !found.some(is);
  });
}

// --- Port conflicts ----------------------------------------------------------------------------------------------------------------------

/** Another container's mapping of a port that is wanted. */
interface Conflict {
  chain: string;
  port: HostPort;
  holder: Holder;
  /** Whether both are for the same address of the host, or both for all; otherwise one is for all and the other for a single one. */
  isSame: boolean;
}

/**
 * Reports whether an entry has to be the first: it is for one address of the host and another container's for all, and the first match
 * wins.
 */
const comesFirst = ({ ports }: Entry, conflicts: readonly Conflict[]): boolean =>
  conflicts.some(
    ({ port, isSame }) => !isSame && port.hostIp === undefined && ports.some((own) => samePort(own, port)),
  );

const samePort = (one: HostPort, other: HostPort): boolean =>
  one.hostPort === other.hostPort && one.protocol === other.protocol;

const sameAddress = ({ hostIp: one }: HostPort, { hostIp: other }: HostPort): boolean =>
  one === undefined || other === undefined ? one === other : formatAddress(one) === formatAddress(other);

function conflictsOf(view: View, mappingSet: MappingSet, { chain: ownChain }: Chain): Conflict[] {
  const { family, owner } = mappingSet;
  const own = mappingsFor(mappingSet);
  const ports = new Set(own.map(({ hostPort }) => hostPort));
  const keys = new Set(own.map(keyOf));
  const isOwn = (chain: string, entry: FoundRule) => chain === ownChain && isEntryOf(owner)(textOf(entry));
  const known = new Set<string>();
  return view.rulesByKey(nat(family, DNAT), multiportsIn, ports).flatMap((entry) => {
    const chain = targetOf(entry.canonicalForm ?? []);
    if (chain === undefined || isOwn(chain, entry) || hasOtherConditions(entry.canonicalForm, mappingSet)) return [];
    if (!portsOf(entry.canonicalForm).some((key) => keys.has(key))) return [];
    const text = textOf(entry);
    if (known.has(`${chain} ${text}`)) return []; // another entry of the same container
    known.add(`${chain} ${text}`);
    return conflictsIn(view, nat(family, chain), mappingSet, ownerIn(text));
  });
}

function conflictsIn(
  view: View,
  chain: Chain,
  { owner, ...more }: MappingSet,
  container: Container | undefined,
): Conflict[] {
  const own = new Map<string, PortMapping[]>();
  for (const mapping of mappingsFor(more)) own.set(keyOf(mapping), [...(own.get(keyOf(mapping)) ?? []), mapping]);
  const ownAddresses = ownerRulesIn(view, chain).filter(({ comment }) => comment.startsWith(`${ruleComment(owner)} `));
  return publishedIn(view, chain).flatMap(({ address, ...port }) => {
    const wanted = own.get(keyOf(port)) ?? [];
    const isSame = wanted.some((one) => sameAddress(one, port));
    const isNested = wanted.some(({ hostIp }) => (hostIp === undefined) !== (port.hostIp === undefined));
    if (!isSame && !isNested) return [];
    if (ownAddresses.some(({ source }) => address !== undefined && source === formatAddress(address))) return [];
    const holder = { network: container?.network, containerId: container?.containerId, address };
    return [{ chain: chain.chain, port, holder, isSame }];
  });
}

/** Returns the changes that remove the mappings to these addresses from chains that may have others too. */
function removals(view: View, family: Family, conflicts: readonly Conflict[]): Change[] {
  return [...new Set(conflicts.map(({ chain }) => chain))].flatMap((name) => {
    const chain = nat(family, name);
    const holders = conflicts.filter((rival) => rival.chain === name).map(({ holder }) => holder);
    const addresses = new Set(holders.map(({ address }) => (address === undefined ? "" : formatAddress(address))));
    const owners = ownerRulesIn(view, chain).filter(({ source }) => addresses.has(source));
    const departure: Removal = {
      isGone: (comment) => owners.some((one) => one.comment === comment),
      isGoneUnowned: (source) => addresses.has(source),
    };
    const containers = holders.map(({ network = "", containerId = "" }) => entryComment({ network, containerId }));
    return removal(view, chain, departure, (text) => containers.includes(text));
  });
}

/** Reports whether an entry has conditions other than these: two containers may share a port when conditions distinguish their packets. */
function hasOtherConditions(canonicalForm: CanonicalRule | undefined, { conditions, family }: MappingSet): boolean {
  const extra = (canonicalForm ?? []).filter((part) => !/^-(p|j|m (comment|multiport)) /.test(part));
  const ours = conditionsOf(conditions);
  if (ours.words !== undefined) return true;
  const wanted = canonicalRule(family, { ...ours, target: "ACCEPT" }).filter((part) => part !== "-j ACCEPT");
  return !sameRule(extra, wanted);
}

/** The bytes from the name to the struct: the text of NFTA_MATCH_NAME, then NFTA_MATCH_REV, then the header of NFTA_MATCH_INFO. */
const MULTIPORT = encode("multiport\0");
const STRUCT_BEHIND_NAME = 12 + 8 + 4;

/** Returns the ports of the rule's multiport match without decoding the rest: there may be thousands of entries. */
function multiportsIn(body: Uint8Array): number[] {
  for (let at = body.indexOf(MULTIPORT[0] as number); at >= 0; at = body.indexOf(MULTIPORT[0] as number, at + 1)) {
    if (!MULTIPORT.every((byte, i) => body[at + i] === byte)) continue;
    const struct = at + STRUCT_BEHIND_NAME;
    return Array.from({ length: body[struct + 1] ?? 0 }, (_, i) => u16At(body, struct + 2 + 2 * i));
  }
  return [];
}

const u16At = (bytes: Uint8Array, at: number): number => {
  const [first = 0, second = 0] = [bytes[at], bytes[at + 1]];
  return hostIsLittle ? first | (second << 8) : (first << 8) | second;
};

const keyOf = ({ protocol, hostPort }: HostPort): string => `${protocol} ${hostPort}`;

/** Returns "tcp 8080" for each port of an entry. */
function portsOf(canonicalForm: CanonicalRule | undefined): string[] {
  const protocol = wordAfter(canonicalForm, "-p ");
  const ports = wordAfter(canonicalForm, "-m multiport --dports ");
  return protocol === undefined || ports === undefined ? [] : ports.split(",").map((port) => `${protocol} ${port}`);
}

const wordAfter = (canonicalForm: CanonicalRule | undefined, option: string): string | undefined =>
  canonicalForm?.find((part) => part.startsWith(option))?.slice(option.length);

type Published = HostPort & Pick<Holder, "address">;

/** Returns the mappings that the rules of a container's chain have. */
const publishedIn = (view: View, chain: Chain): Published[] =>
  view.rules(chain, "DNAT").flatMap((rule) => publishedBy(rule) ?? []);

/** Returns the mapping that a rule has; undefined for other rules. */
function publishedBy({ canonicalForm }: FoundRule): Published | undefined {
  const protocol = wordAfter(canonicalForm, "-p ") as Protocol | undefined;
  const to = wordAfter(canonicalForm, "-j DNAT --to-destination ");
  if (protocol === undefined || to === undefined || !(protocol in PROTOCOL_NUMBERS)) return undefined;
  const hostPort = Number(wordAfter(canonicalForm, `-m ${protocol} --dport `));
  const hostIp = parseAddress(wordAfter(canonicalForm, "-d ")?.replace(/\/\d+$/, "") ?? "");
  return { protocol, hostPort, hostIp, address: parseAddress(to.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")) };
}

// --- The part of a chain that is removed -------------------------------------------------------------------------------------------------

/** The rules of the attachments that are removed. */
interface Part {
  /** The rules of the chain, without owner rules. */
  rules: readonly FoundRule[];
  entries: readonly FoundRule[];
  owners: readonly FoundRule[];
}

const NOTHING: Part = { rules: [], entries: [], owners: [] };

const textOf = ({ canonicalForm }: FoundRule): string => commentOf(canonicalForm) ?? "";

const isEntryOf = (container: Container): ((text: string) => boolean) => {
  const wanted = entryComment(container);
  return (text) => text === wanted;
};

const goesWith = ({ address }: Published, owners: readonly OwnerRule[], departure: Removal): boolean =>
  goes(address === undefined ? "" : formatAddress(address), owners, departure);

/** Reports whether the whole chain is removed. */
function goesWhole(view: View, chain: Chain, departure: Removal): boolean {
  const owners = ownerRulesIn(view, chain);
  return (
    owners.every(({ comment }) => departure.isGone(comment)) &&
    publishedIn(view, chain).every((one) => goesWith(one, owners, departure))
  );
}

/** Returns the part of the chain that is removed. @param isEntry Reports from its comment whether an entry may belong to it. */
function partOf(view: View, chain: Chain, departure: Removal, isEntry: (text: string) => boolean): Part {
  const owners = ownerRulesIn(view, chain);
  const ownerIds = new Set(owners.map(({ rule }) => rule.id));
  const rules = view.rules(chain).filter(({ id }) => !ownerIds.has(id));
  const entries = view.jumps(nat(chain.family, DNAT), chain.chain);
  if (goesWhole(view, chain, departure)) return { rules, entries, owners: owners.map(({ rule }) => rule) };
  const mappings = mappingsIn(rules);
  const going = mappings.filter(({ published }) => goesWith(published, owners, departure));
  return {
    rules: going.flatMap((mapping) => mapping.rules),
    entries: entriesOnlyFor(
      entries.filter((entry) => isEntry(textOf(entry))),
      going.map(({ published }) => keyOf(published)),
      mappings.filter((one) => !going.includes(one)).map(({ published }) => keyOf(published)),
    ),
    owners: owners.filter(({ comment }) => departure.isGone(comment)).map(({ rule }) => rule),
  };
}

/** Groups rules into mappings: each is a DNAT rule and the marks before it. */
function mappingsIn(rules: readonly FoundRule[]): { rules: readonly FoundRule[]; published: Published }[] {
  let from = 0;
  return rules.flatMap((rule, at) => {
    const published = publishedBy(rule);
    if (published === undefined) return [];
    const own = rules.slice(from, at + 1);
    from = at + 1;
    return [{ rules: own, published }];
  });
}

/** Returns the entries for removed ports that no remaining port needs; a remaining port needs one entry. */
function entriesOnlyFor(
  entries: readonly FoundRule[],
  going: readonly string[],
  staying: readonly string[],
): readonly FoundRule[] {
  const needed = new Set(staying);
  return entries.filter(({ canonicalForm }) => {
    const ports = portsOf(canonicalForm);
    const isNeeded = ports.some((port) => needed.has(port));
    for (const port of ports) needed.delete(port);
    return !isNeeded && ports.some((port) => going.includes(port));
  });
}

// --- Deletion ----------------------------------------------------------------------------------------------------------------------------

/**
 * Returns the deletion of everything that the attachment has, from both variants.
 *
 * @param addresses The addresses in its result, see `departureOf`.
 */
export function deletionByIptables(
  netfilter: Connection,
  owner: AttachmentId,
  addresses: readonly Prefix[],
  { legacy }: { legacy: boolean },
): Deletion {
  const departure = departureOf(owner, addresses);
  const removed = new Map<Family, Removed[]>();
  const work = (view: View, family: Family): Change[] => {
    const chain = portChain(family, owner);
    const old = oldSnatChain(family, owner);
    const [isThere, isOldThere] = view.present([chain, old]);
    if (isThere) removed.set(family, removedFrom(view, chain, departure));
    return [
      ...(isThere ? removal(view, chain, departure, isEntryOf(owner)) : []),
      ...(isOldThere ? removalOfChain(view, old, OLD_SNAT) : []),
    ];
  };
  const ofFamilies = (view: View, families: readonly Family[]) => families.flatMap((family) => work(view, family));
  return {
    steps: deletionSteps(netfilter, "nat", ofFamilies, { legacy }),
    removed: () => [...removed.values()].flat(),
  };
}

function removedFrom(view: View, chain: Chain, departure: Removal): Removed[] {
  const owners = ownerRulesIn(view, chain);
  return publishedIn(view, chain)
    .filter((one) => goesWith(one, owners, departure))
    .map((port) => ({ ...port, family: chain.family }));
}

/** Returns the changes that remove the attachments from an existing chain. */
function removal(view: View, chain: Chain, departure: Removal, isEntry: (text: string) => boolean): Change[] {
  if (goesWhole(view, chain, departure)) return removalOfChain(view, chain, DNAT);
  const { entries, rules, owners } = partOf(view, chain, departure, isEntry);
  return [...entries, ...rules, ...owners].map((rule) => ({ delete: rule }));
}

/** Returns the changes that delete an existing chain and the jumps to it. */
function removalOfChain(view: View, chain: Chain, entrance: string): Change[] {
  const jumps = view.jumps(nat(chain.family, entrance), chain.chain);
  return [...jumps.map((rule): Change => ({ delete: rule })), { drop: chain }];
}

/** Returns the steps that delete the rules and chains of the network's attachments that are not among the valid ones. */
export const collectionByIptables = (
  netfilter: Connection,
  network: string,
  valid: readonly Omit<AttachmentId, "network">[],
): readonly NamedStep[] =>
  deletionSteps(netfilter, "nat", (view, families) =>
    families.flatMap((family) => stale(view, family, network, valid)),
  );

function stale(view: View, family: Family, network: string, valid: readonly Omit<AttachmentId, "network">[]): Change[] {
  const containers = new Set(valid.map(({ containerId }) => containerId));
  const isStale = ({ canonicalForm }: FoundRule) => {
    const owner = ownerIn(commentOf(canonicalForm) ?? "");
    return owner?.network === network && !containers.has(owner.containerId);
  };
  const isOfNetwork = (text: string) => isEntryOfNetwork(text, network);
  const entries = view.rules(nat(family, DNAT), network).filter((entry) => isOfNetwork(textOf(entry)));
  return [...new Set(entries.map(({ canonicalForm }) => targetOf(canonicalForm ?? [])))].flatMap((name) => {
    if (name === undefined) return [];
    const chain = nat(family, name);
    const isGoneUnowned = () => view.jumps(nat(family, DNAT), name).every(isStale);
    return removal(view, chain, staleOf(network, valid, isGoneUnowned), isOfNetwork);
  });
}

// --- CHECK -------------------------------------------------------------------------------------------------------------------------------

/** Returns the first difference from what `addByIptables` makes; undefined when there is none. The position of rules is not checked. */
export function deviationInIptables(
  netfilter: () => Connection,
  mappingSets: readonly MappingSet[],
): string | undefined {
  let found: string | undefined;
  edit(netfilter, mappingSets, (view, mappingSet) => {
    found ??= deviationOf(view, mappingSet);
    return [];
  });
  return found;
}

function deviationOf(view: View, mappingSet: MappingSet): string | undefined {
  const { family, owner } = mappingSet;
  const chain = portChain(family, owner);
  if (view.present([chain])[0] !== true) return `chain ${chain.chain} is missing in table nat of ${family}tables`;
  const lost = lostRule(view.rules(chain), mappingSet);
  if (lost !== undefined)
    return `chain ${chain.chain} of ${family}tables lacks rule ${canonicalRule(family, lost).join(" ")}`;
  const entries = view.jumps(nat(family, DNAT), chain.chain);
  const unentered = missingEntry(family, entries, entriesOf(mappingSet), includesAll);
  if (unentered === undefined) return undefined;
  return `chain ${DNAT} of ${family}tables lacks rule ${canonicalRule(family, unentered.rule).join(" ")}`;
}

/** Returns the first wanted rule that is nowhere in the chain. */
function lostRule(found: readonly FoundRule[], mappingSet: MappingSet): Rule | undefined {
  const { others } = matchInOrder(found, mappingSet);
  if (others.length === 0) return undefined;
  const texts = new Set(found.map(({ canonicalForm }) => canonicalForm?.join(" ")));
  return others.find((rule) => !texts.has(canonicalRule(mappingSet.family, rule).join(" ")));
}
