// Port mappings through iptables: what is in the chains, what is missing, who else is there.
import { formatAddress, type Prefix, parseAddress } from "../../ip/address.ts";
import type { Connection } from "../../netlink/connection.ts";
import { hostIsLittle } from "../../netlink/wire.ts";
import { encode } from "../../sys/text.ts";
import type { Family } from "../iptables/extension.ts";
import { commentOf, type Meaning, meaningOf, sameMeaning, targetOf } from "../iptables/meaning.ts";
import { deleteRules } from "../iptables/netlink.ts";
import {
  type Departure,
  departureOf,
  goes,
  type OwnerRule,
  ownerRule,
  ownerRulesIn,
  staleOf,
} from "../iptables/owner.ts";
import type { Chain, Rule } from "../iptables/rule.ts";
import { type Change, type FoundRule, missing, type View } from "../iptables/ruleset.ts";
import { editLegacy, editTables, FAMILIES } from "../iptables.ts";
import { type Owner, ruleComment } from "../names.ts";
import { conditionsOf } from "./iptables-conditions.ts";
import {
  DNAT,
  type Entry,
  entriesOf,
  entryComment,
  nat,
  OLD_SNAT,
  oldSnatChain,
  ownerIn,
  portChain,
  portRules,
  sharedRules,
} from "./iptables-rules.ts";
import { type HostPort, mappingsFor, PROTOCOL_NUMBERS, type Protocol, type Publication } from "./publication.ts";
import type { Holder, Occupied, Removed } from "./rival.ts";

type Container = Omit<Owner, "ifName">;

/** All families in one go. What is there of the container already is replaced, unless it is the same. @throws CniError of `occupied` */
export function publishByIptables(
  netfilter: () => Connection,
  publications: readonly Publication[],
  occupied: Occupied,
): void {
  edit(netfilter, publications, (view, publication) => publishing(view, publication, occupied));
}

/** Whether there are conditions that only iptables understands. */
export const needsProgram = ({ conditions }: Publication): boolean => conditionsOf(conditions).words !== undefined;

function edit(
  netfilter: () => Connection,
  publications: readonly Publication[],
  work: (view: View, publication: Publication) => Change[],
): void {
  editTables(
    netfilter,
    publications.map(({ family }) => ({ family, table: "nat" })),
    (view, { family }) => publications.filter((one) => one.family === family).flatMap((one) => work(view, one)),
    { throughProgram: publications.some(needsProgram) },
  );
}

/** What makes the publication true; also for who makes it true again. */
export function publishing(view: View, publication: Publication, occupied: Occupied): Change[] {
  const { family, owner } = publication;
  const own = portChain(family, owner);
  const isThere = view.present([own])[0] === true;
  const rivals = rivalsOf(view, publication, own);
  const dead = rivals.filter(({ port, holder, isSame }) => isSame && occupied(publication, port, holder) === "dead");
  return [
    ...removals(view, family, dead),
    ...missing(view, sharedRules(publication)),
    ...replacement(view, publication, { isThere, rivals }),
  ];
}

/** What the attachment has in its chain and the entries to it, as they should be and nothing else. */
function replacement(
  view: View,
  publication: Publication,
  { isThere, rivals }: { isThere: boolean; rivals: readonly Rival[] },
): Change[] {
  const { owner, container } = publication;
  const own = portChain(publication.family, owner);
  const wanted = { rules: portRules(publication), entries: entriesOf(publication) };
  const ownerRules = [ownerRule(owner, container.address)];
  const found = isThere ? partOf(view, own, replacing(owner, container), isEntryOf(owner)) : NOTHING;
  const isSame =
    isThere && isAsWanted(own.family, found.rules, wanted.rules) && areAll(own.family, found.entries, wanted.entries);
  if (isSame && isAsWanted(own.family, found.owners, ownerRules)) return [];
  if (isSame && found.owners.length === 0) return ownerRules.map((add): Change => ({ add, to: own, at: "last" }));
  return [
    ...[...found.entries, ...found.rules, ...found.owners].map((rule): Change => ({ delete: rule })),
    ...(isThere ? [] : [{ make: own }]),
    ...[...wanted.rules, ...ownerRules].map((add): Change => ({ add, to: own, at: "last" })),
    ...wanted.entries.map((entry): Change => {
      return { add: entry.rule, to: nat(own.family, DNAT), at: comesFirst(entry, rivals) ? "first" : "last" };
    }),
  ];
}

/** Whatever is there of the attachment; without an owner rule also what it had under another address. */
function replacing(owner: Owner, container: Prefix): Departure {
  const own = departureOf(owner, [container]);
  const unowned = departureOf(owner, []);
  return {
    ...own,
    isGoneUnowned: (...of) => own.isGoneUnowned(...of) || unowned.isGoneUnowned(...of),
  };
}

function isAsWanted(family: Family, found: readonly FoundRule[], wanted: readonly Rule[]): boolean {
  return (
    found.length === wanted.length && wanted.every((rule, i) => sameMeaning(found[i]?.meaning, meaningOf(family, rule)))
  );
}

/** Words that only iptables understands come back in words that it has chosen: then it must do that the rest is there. */
function areAll(family: Family, found: readonly FoundRule[], wanted: readonly Entry[]): boolean {
  return (
    found.length === wanted.length &&
    wanted.every(({ rule }) => {
      const meaning = meaningOf(family, rule);
      return found.some((entry) =>
        rule.words === undefined
          ? sameMeaning(entry.meaning, meaning)
          : meaning.every((part) => entry.meaning?.includes(part)),
      );
    })
  );
}

// --- Who else is there -------------------------------------------------------------------------------------------------------------------

/** Another container's mapping of a port that is wanted. */
interface Rival {
  chain: string;
  port: HostPort;
  holder: Holder;
  /** For the same address of the host; else one is for all and the other for a single one. */
  isSame: boolean;
}

/** An entry for what is for one address of the host comes before somebody's for all addresses: the first one wins. */
const comesFirst = ({ ports }: Entry, rivals: readonly Rival[]): boolean =>
  rivals.some(({ port, isSame }) => !isSame && port.hostIp === undefined && ports.some((own) => samePort(own, port)));

const samePort = (one: HostPort, other: HostPort): boolean =>
  one.hostPort === other.hostPort && one.protocol === other.protocol;

const sameAddress = ({ hostIp: one }: HostPort, { hostIp: other }: HostPort): boolean =>
  one === undefined || other === undefined ? one === other : formatAddress(one) === formatAddress(other);

function rivalsOf(view: View, publication: Publication, { chain: ownChain }: Chain): Rival[] {
  const { family, owner } = publication;
  const own = mappingsFor(publication);
  const ports = new Set(own.map(({ hostPort }) => hostPort));
  const keys = new Set(own.map(keyOf));
  const isOwn = (chain: string, entry: FoundRule) => chain === ownChain && isEntryOf(owner)(textOf(entry));
  return view.rules(nat(family, DNAT)).flatMap((entry) => {
    if (entry.body !== undefined && !multiportsIn(entry.body).some((port) => ports.has(port))) return [];
    const chain = targetOf(entry.meaning ?? []);
    if (chain === undefined || isOwn(chain, entry) || hasOtherConditions(entry.meaning, publication)) return [];
    if (!portsOf(entry.meaning).some((key) => keys.has(key))) return [];
    return rivalsIn(view, nat(family, chain), publication, ownerIn(textOf(entry)));
  });
}

function rivalsIn(
  view: View,
  chain: Chain,
  { owner, ...more }: Publication,
  container: Container | undefined,
): Rival[] {
  const own = mappingsFor(more);
  const ownAddresses = ownerRulesIn(view, chain).filter(({ comment }) => comment.startsWith(`${ruleComment(owner)} `));
  return publishedIn(view, chain).flatMap(({ address, ...port }) => {
    const wanted = own.filter((one) => samePort(one, port));
    const isSame = wanted.some((one) => sameAddress(one, port));
    const isNested = wanted.some(({ hostIp }) => (hostIp === undefined) !== (port.hostIp === undefined));
    if (!isSame && !isNested) return [];
    if (ownAddresses.some(({ source }) => address !== undefined && source === formatAddress(address))) return [];
    const holder = { network: container?.network, containerId: container?.containerId, address };
    return [{ chain: chain.chain, port, holder, isSame }];
  });
}

/** What leads to these addresses, from chains that may lead to others too. */
function removals(view: View, family: Family, rivals: readonly Rival[]): Change[] {
  return [...new Set(rivals.map(({ chain }) => chain))].flatMap((name) => {
    const chain = nat(family, name);
    const holders = rivals.filter((rival) => rival.chain === name).map(({ holder }) => holder);
    const addresses = new Set(holders.map(({ address }) => (address === undefined ? "" : formatAddress(address))));
    const owners = ownerRulesIn(view, chain).filter(({ source }) => addresses.has(source));
    const departure: Departure = {
      isGone: (comment) => owners.some((one) => one.comment === comment),
      isGoneUnowned: (source) => addresses.has(source),
    };
    const containers = holders.map(({ network = "", containerId = "" }) => entryComment({ network, containerId }));
    return removal(view, chain, departure, (text) => containers.includes(text));
  });
}

/** Two containers may share a port when conditions tell whose a packet is. */
function hasOtherConditions(meaning: Meaning | undefined, { conditions, family }: Publication): boolean {
  const extra = (meaning ?? []).filter((part) => !/^-(p|j|m (comment|multiport)) /.test(part));
  const ours = conditionsOf(conditions);
  if (ours.words !== undefined) return true;
  const wanted = meaningOf(family, { ...ours, target: "ACCEPT" }).filter((part) => part !== "-j ACCEPT");
  return !sameMeaning(extra, wanted);
}

/** NFTA_MATCH_NAME's header and text, then NFTA_MATCH_REV, then the header of NFTA_MATCH_INFO: what is between the name and the struct. */
const MULTIPORT = encode("multiport\0");
const STRUCT_BEHIND_NAME = 12 + 8 + 4;

/** The ports of the rule's multiport match, without decoding the rest: there may be thousands of entries. */
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

/** "tcp 8080" for each port of an entry. */
function portsOf(meaning: Meaning | undefined): string[] {
  const protocol = wordAfter(meaning, "-p ");
  const ports = wordAfter(meaning, "-m multiport --dports ");
  return protocol === undefined || ports === undefined ? [] : ports.split(",").map((port) => `${protocol} ${port}`);
}

const wordAfter = (meaning: Meaning | undefined, option: string): string | undefined =>
  meaning?.find((part) => part.startsWith(option))?.slice(option.length);

type Published = HostPort & Pick<Holder, "address">;

/** The mappings of a container's chain, as its rules have them. */
const publishedIn = (view: View, chain: Chain): Published[] =>
  view.rules(chain, "DNAT").flatMap((rule) => publishedBy(rule) ?? []);

/** undefined for a rule that is no mapping. */
function publishedBy({ meaning }: FoundRule): Published | undefined {
  const protocol = wordAfter(meaning, "-p ") as Protocol | undefined;
  const to = wordAfter(meaning, "-j DNAT --to-destination ");
  if (protocol === undefined || to === undefined || !(protocol in PROTOCOL_NUMBERS)) return undefined;
  const hostPort = Number(wordAfter(meaning, `-m ${protocol} --dport `));
  const hostIp = parseAddress(wordAfter(meaning, "-d ")?.replace(/\/\d+$/, "") ?? "");
  return { protocol, hostPort, hostIp, address: parseAddress(to.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")) };
}

// --- What of a chain is whose ------------------------------------------------------------------------------------------------------------

/** What there is of those who go. */
interface Part {
  /** Without owner rules. */
  rules: readonly FoundRule[];
  entries: readonly FoundRule[];
  owners: readonly FoundRule[];
}

const NOTHING: Part = { rules: [], entries: [], owners: [] };

const textOf = ({ meaning }: FoundRule): string => commentOf(meaning) ?? "";

const isEntryOf = (container: Container): ((text: string) => boolean) => {
  const wanted = entryComment(container);
  return (text) => text === wanted;
};

const goesWith = ({ address }: Published, owners: readonly OwnerRule[], departure: Departure): boolean =>
  goes(address === undefined ? "" : formatAddress(address), owners, departure);

/** Whether all that is in the chain goes. */
function goesWhole(view: View, chain: Chain, departure: Departure): boolean {
  const owners = ownerRulesIn(view, chain);
  return (
    owners.every(({ comment }) => departure.isGone(comment)) &&
    publishedIn(view, chain).every((one) => goesWith(one, owners, departure))
  );
}

/** @param isEntry Tells from its comment whether an entry may be of those who go. */
function partOf(view: View, chain: Chain, departure: Departure, isEntry: (text: string) => boolean): Part {
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

/** A mapping is a rule that translates, and the marks before it. */
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

/** The entries for ports of those who go, as far as those who stay do not need them; each port needs one. */
function entriesOnlyFor(
  entries: readonly FoundRule[],
  going: readonly string[],
  staying: readonly string[],
): readonly FoundRule[] {
  const needed = new Set(staying);
  return entries.filter(({ meaning }) => {
    const ports = portsOf(meaning);
    const isNeeded = ports.some((port) => needed.has(port));
    for (const port of ports) needed.delete(port);
    return !isNeeded && ports.some((port) => going.includes(port));
  });
}

// --- Taking it back ----------------------------------------------------------------------------------------------------------------------

/** Deletes what is there of the attachment, from both worlds. @param addresses As its result tells them, see `departureOf`. @returns its mappings */
export function unpublishByIptables(
  netfilter: Connection,
  owner: Owner,
  addresses: readonly Prefix[],
  { legacy }: { legacy: boolean },
): Removed[] {
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
  deleteRules(netfilter, (view) => FAMILIES.flatMap((family) => work(view, family)));
  if (legacy) editLegacy("nat", work);
  return [...removed.values()].flat();
}

function removedFrom(view: View, chain: Chain, departure: Departure): Removed[] {
  const owners = ownerRulesIn(view, chain);
  return publishedIn(view, chain)
    .filter((one) => goesWith(one, owners, departure))
    .map((port) => ({ ...port, family: chain.family }));
}

/** What goes of a chain that is there. */
function removal(view: View, chain: Chain, departure: Departure, isEntry: (text: string) => boolean): Change[] {
  if (goesWhole(view, chain, departure)) return removalOfChain(view, chain, DNAT);
  const { entries, rules, owners } = partOf(view, chain, departure, isEntry);
  return [...entries, ...rules, ...owners].map((rule) => ({ delete: rule }));
}

/** A chain that is there, and what leads to it. */
function removalOfChain(view: View, chain: Chain, entrance: string): Change[] {
  const jumps = view.jumps(nat(chain.family, entrance), chain.chain);
  return [...jumps.map((rule): Change => ({ delete: rule })), { drop: chain }];
}

/** Deletes the rules and chains of the network's attachments that are not among the valid ones. */
export function collectByIptables(
  netfilter: Connection,
  network: string,
  valid: readonly Omit<Owner, "network">[],
): void {
  deleteRules(netfilter, (view) => FAMILIES.flatMap((family) => stale(view, family, network, valid)));
  editLegacy("nat", (view, family) => stale(view, family, network, valid));
}

function stale(view: View, family: Family, network: string, valid: readonly Omit<Owner, "network">[]): Change[] {
  const containers = new Set(valid.map(({ containerId }) => containerId));
  const isStale = ({ meaning }: FoundRule) => {
    const owner = ownerIn(commentOf(meaning) ?? "");
    return owner?.network === network && !containers.has(owner.containerId);
  };
  const isOfNetwork = (text: string) => ownerIn(text)?.network === network;
  const entries = view.rules(nat(family, DNAT), network).filter((entry) => isOfNetwork(textOf(entry)));
  return [...new Set(entries.map(({ meaning }) => targetOf(meaning ?? [])))].flatMap((name) => {
    if (name === undefined) return [];
    const chain = nat(family, name);
    const isGoneUnowned = () => view.jumps(nat(family, DNAT), name).every(isStale);
    return removal(view, chain, staleOf(network, valid, isGoneUnowned), isOfNetwork);
  });
}

// --- Looking -----------------------------------------------------------------------------------------------------------------------------

/** What is not as `publishByIptables` made it, in words; undefined when all is well. Where a rule stands does not count. */
export function deviationInIptables(
  netfilter: () => Connection,
  publications: readonly Publication[],
): string | undefined {
  let found: string | undefined;
  edit(netfilter, publications, (view, publication) => {
    found ??= deviationOf(view, publication);
    return [];
  });
  return found;
}

function deviationOf(view: View, publication: Publication): string | undefined {
  const { family, owner } = publication;
  const chain = portChain(family, owner);
  if (view.present([chain])[0] !== true) return `chain ${chain.chain} is missing in table nat of ${family}tables`;
  const meanings = view.rules(chain).map(({ meaning }) => meaning?.join(" "));
  const lost = portRules(publication).find((rule) => !meanings.includes(meaningOf(family, rule).join(" ")));
  if (lost !== undefined)
    return `chain ${chain.chain} of ${family}tables lacks rule ${meaningOf(family, lost).join(" ")}`;
  const entries = view.jumps(nat(family, DNAT), chain.chain);
  const unentered = entriesOf(publication).find(({ rule }) => {
    const meaning = meaningOf(family, rule);
    return !entries.some((entry) => meaning.every((part) => entry.meaning?.includes(part)));
  });
  if (unentered === undefined) return undefined;
  return `chain ${DNAT} of ${family}tables lacks rule ${meaningOf(family, unentered.rule).join(" ")}`;
}
