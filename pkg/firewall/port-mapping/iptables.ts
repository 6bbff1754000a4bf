// Port mappings through iptables: what is in the chains, what is missing, who else is there.
import { formatAddress, parseAddress } from "../../ip/address.ts";
import type { Connection } from "../../netlink/connection.ts";
import { hostIsLittle } from "../../netlink/wire.ts";
import { encode } from "../../sys/text.ts";
import type { Family } from "../iptables/extension.ts";
import { commentOf, type Meaning, meaningOf, sameMeaning, targetOf } from "../iptables/meaning.ts";
import { deleteRules } from "../iptables/netlink.ts";
import type { Chain, Rule } from "../iptables/rule.ts";
import { type Change, type FoundRule, missing, type View } from "../iptables/ruleset.ts";
import { editLegacy, editTables, FAMILIES } from "../iptables.ts";
import type { Owner } from "../names.ts";
import { conditionsOf } from "./iptables-conditions.ts";
import {
  DNAT,
  type Entry,
  entriesOf,
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
  const entries = isThere ? view.jumps(nat(family, DNAT), own.chain) : [];
  const rivals = rivalsOf(view, publication, own);
  const dead = rivals.filter(({ port, holder, isSame }) => isSame && occupied(publication, port, holder) === "dead");
  return [
    ...[...new Set(dead.map(({ chain }) => chain))].flatMap((chain) => removal(view, nat(family, chain), DNAT)),
    ...missing(view, sharedRules(publication)),
    ...replacement(view, publication, { isThere, entries, rivals }),
  ];
}

/** The container's own chain and the entries to it, as they should be and nothing else. */
function replacement(
  view: View,
  publication: Publication,
  { isThere, entries, rivals }: { isThere: boolean; entries: readonly FoundRule[]; rivals: readonly Rival[] },
): Change[] {
  const own = portChain(publication.family, publication.owner);
  const wanted = { rules: portRules(publication), entries: entriesOf(publication) };
  const rules = isThere ? view.rules(own) : [];
  if (isThere && isAsWanted(own.family, rules, wanted.rules) && areAll(own.family, entries, wanted.entries)) return [];
  return [
    ...[...entries, ...rules].map((rule): Change => ({ delete: rule })),
    ...(isThere ? [] : [{ make: own }]),
    ...wanted.rules.map((add): Change => ({ add, to: own, at: "last" })),
    ...wanted.entries.map((entry): Change => {
      return { add: entry.rule, to: nat(own.family, DNAT), at: comesFirst(entry, rivals) ? "first" : "last" };
    }),
  ];
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
  const own = mappingsFor(publication);
  const ports = new Set(own.map(({ hostPort }) => hostPort));
  const keys = new Set(own.map(({ protocol, hostPort }) => `${protocol} ${hostPort}`));
  return view.rules(nat(publication.family, DNAT)).flatMap((entry) => {
    if (entry.body !== undefined && !multiportsIn(entry.body).some((port) => ports.has(port))) return [];
    const chain = targetOf(entry.meaning ?? []);
    if (chain === undefined || chain === ownChain || hasOtherConditions(entry.meaning, publication)) return [];
    if (!portsOf(entry.meaning).some((key) => keys.has(key))) return [];
    return rivalsIn(view, nat(publication.family, chain), own, ownerIn(commentOf(entry.meaning) ?? ""));
  });
}

function rivalsIn(view: View, chain: Chain, own: readonly HostPort[], container: Container | undefined): Rival[] {
  return publishedIn(view, chain).flatMap(({ address, ...port }) => {
    const wanted = own.filter((one) => samePort(one, port));
    const isSame = wanted.some((one) => sameAddress(one, port));
    const isNested = wanted.some(({ hostIp }) => (hostIp === undefined) !== (port.hostIp === undefined));
    if (!isSame && !isNested) return [];
    const holder = { network: container?.network, containerId: container?.containerId, address };
    return [{ chain: chain.chain, port, holder, isSame }];
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

/** "tcp 8080" for each port of an entry. */
function portsOf(meaning: Meaning | undefined): string[] {
  const protocol = wordAfter(meaning, "-p ");
  const ports = wordAfter(meaning, "-m multiport --dports ");
  return protocol === undefined || ports === undefined ? [] : ports.split(",").map((port) => `${protocol} ${port}`);
}

const wordAfter = (meaning: Meaning | undefined, option: string): string | undefined =>
  meaning?.find((part) => part.startsWith(option))?.slice(option.length);

/** The mappings of a container's chain, as its rules have them. */
function publishedIn(view: View, chain: Chain): (HostPort & Pick<Holder, "address">)[] {
  return view.rules(chain, "DNAT").flatMap(({ meaning }) => {
    const protocol = wordAfter(meaning, "-p ") as Protocol | undefined;
    const to = wordAfter(meaning, "-j DNAT --to-destination ");
    if (protocol === undefined || to === undefined || !(protocol in PROTOCOL_NUMBERS)) return [];
    const hostPort = Number(wordAfter(meaning, `-m ${protocol} --dport `));
    const hostIp = parseAddress(wordAfter(meaning, "-d ")?.replace(/\/\d+$/, "") ?? "");
    return [{ protocol, hostPort, hostIp, address: parseAddress(to.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")) }];
  });
}

// --- Taking it back ----------------------------------------------------------------------------------------------------------------------

/** Deletes what is there of the container, from both worlds. @returns its mappings */
export function unpublishByIptables(
  netfilter: Connection,
  container: Container,
  { legacy }: { legacy: boolean },
): Removed[] {
  const removed = new Map<Family, Removed[]>();
  const work = (view: View, family: Family): Change[] => {
    const chain = portChain(family, container);
    const old = oldSnatChain(family, container);
    const [isThere, isOldThere] = view.present([chain, old]);
    if (isThere)
      removed.set(
        family,
        publishedIn(view, chain).map((port) => ({ ...port, family })),
      );
    return [...(isThere ? removal(view, chain, DNAT) : []), ...(isOldThere ? removal(view, old, OLD_SNAT) : [])];
  };
  deleteRules(netfilter, (view) => FAMILIES.flatMap((family) => work(view, family)));
  if (legacy) editLegacy("nat", work);
  return [...removed.values()].flat();
}

/** A chain that is there, and what leads to it. */
function removal(view: View, chain: Chain, entrance: string): Change[] {
  const jumps = view.jumps(nat(chain.family, entrance), chain.chain);
  return [...jumps.map((rule): Change => ({ delete: rule })), { drop: chain }];
}

/** Deletes the rules and chains of the network's containers that are not among the valid ones. */
export function collectByIptables(
  netfilter: Connection,
  network: string,
  isValid: (containerId: string) => boolean,
): void {
  deleteRules(netfilter, (view) => FAMILIES.flatMap((family) => stale(view, family, network, isValid)));
  editLegacy("nat", (view, family) => stale(view, family, network, isValid));
}

function stale(view: View, family: Family, network: string, isValid: (containerId: string) => boolean): Change[] {
  const chains = view.rules(nat(family, DNAT), network).flatMap(({ meaning }) => {
    const container = ownerIn(commentOf(meaning) ?? "");
    const chain = targetOf(meaning ?? []);
    return container?.network === network && !isValid(container.containerId) && chain !== undefined ? [chain] : [];
  });
  return [...new Set(chains)].flatMap((chain) => removal(view, nat(family, chain), DNAT));
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
