// The canonical form of a rule, so that rules of different writers can be compared: each release of iptables encodes rules in its own way,
// and their bytes differ.
//
// It is the sorted list of the rule's parts as iptables-save prints them. Two rules are the same when their lists are equal. It is made
// from a rule of twill, from a rule in the kernel, or from a line of iptables-save.

import { type Address, formatPrefix, networkOf, type Prefix } from "../../ip/address.ts";
import { decode, encode } from "../../netlink/message.ts";
import { NF_ACCEPT, NF_DROP, NFT_GOTO, NFT_JUMP, NFT_RETURN } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ, NFT_CMP_NEQ } from "../../netlink/nftables/expression/cmp.ts";
import {
  NFT_META_IIFNAME,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_OIFNAME,
} from "../../netlink/nftables/expression/meta.ts";
import { NFT_RANGE_EQ, NFT_RANGE_NEQ } from "../../netlink/nftables/expression/range.ts";
import type { Expression } from "../../netlink/nftables/expression.ts";
import type { RuleMessage } from "../../netlink/nftables/rule.ts";
import { hostIsLittle } from "../../netlink/wire.ts";
import { decode as decodeText } from "../../sys/text.ts";
import type { Family } from "../family.ts";
import { type Negatable, unwrapNegation } from "../nftables/match.ts";
import type { Rule, Target } from "./rule.ts";
import { type AnyExtension, markWords, matches, type PortRange, portWords, quoted, targets } from "./xtables.ts";

export type CanonicalRule = readonly string[];

export function sameRule(one: CanonicalRule | undefined, other: CanonicalRule | undefined): boolean {
  return (
    one !== undefined && other !== undefined && one.length === other.length && one.every((part, i) => part === other[i])
  );
}

/** Reports whether the rule jumps to the chain. */
export const jumpsTo = (canonicalForm: CanonicalRule | undefined, chain: string): boolean =>
  canonicalForm?.includes(`-j ${chain}`) ?? false;

/** Returns the chain or target behind `-j`. */
export function targetOf(canonicalForm: CanonicalRule): string | undefined {
  return canonicalForm.find((part) => part.startsWith("-j "))?.split(" ")[1];
}

const COMMENT = "-m comment --comment ";

export function commentOf(canonicalForm: CanonicalRule | undefined): string | undefined {
  const value = canonicalForm?.find((part) => part.startsWith(COMMENT))?.slice(COMMENT.length);
  return value?.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value;
}

// --- From a rule of twill ----------------------------------------------------------------------------------------------------------------

/** Returns the parts in the order in which iptables-save prints them: joined, they are the rule as iptables-restore takes it. */
export function ruleWords(family: Family, rule: Rule): string[] {
  const { source, destination, inInterface, outInterface, protocol } = rule;
  return [
    ...(source === undefined ? [] : addressWords("-s", source)),
    ...(destination === undefined ? [] : addressWords("-d", destination)),
    ...(inInterface === undefined ? [] : interfaceWords("-i", unwrapNegation(inInterface))),
    ...(outInterface === undefined ? [] : interfaceWords("-o", unwrapNegation(outInterface))),
    ...(protocol === undefined ? [] : [protocolWords(unwrapNegation(protocol))]),
    ...(rule.matches ?? []).map((match) => matchWords(match.name, filled(matches[match.name], match), family)),
    targetWords(family, rule.target),
  ];
}

export function canonicalRule(family: Family, rule: Rule): CanonicalRule {
  return settled(ruleWords(family, rule));
}

/** Sorts the parts and drops those without effect: a tcp or udp match that names no port. */
function settled(words: readonly string[]): CanonicalRule {
  return words.filter((part) => part !== "" && part !== "-m tcp" && part !== "-m udp").sort();
}

const negation = (not: boolean) => (not ? "! " : "");

function addressWords(option: "-s" | "-d", is: Negatable<Prefix>): string[] {
  const { value, not } = unwrapNegation(is);
  return value.length === 0 ? [] : [`${negation(not)}${option} ${formatPrefix(networkOf(value))}`];
}

const interfaceWords = (option: "-i" | "-o", { value, not }: { value: string; not: boolean }): string[] =>
  value === "+" ? [] : [`${negation(not)}${option} ${value}`];

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp" };

const protocolWords = ({ value, not }: { value: number; not: boolean }): string =>
  `${negation(not)}-p ${PROTOCOLS[value] ?? value}`;

/** Returns all fields of the struct: encodes it with its defaults and decodes it again. */
function filled({ info, otherwise }: AnyExtension, { name: _, ...fields }: { name: string }): object {
  return decode(info, encode(info, { ...otherwise, ...fields }));
}

const matchWords = (name: string, fields: object, family: Family): string =>
  extensionWords("-m", name, (matches as Readonly<Record<string, AnyExtension>>)[name], fields, family) ??
  `-m ${name} ?`;

function extensionWords(
  option: "-m" | "-j",
  name: string,
  row: AnyExtension | undefined,
  fields: object,
  family: Family,
): string | undefined {
  const words = row?.words(fields as never, family);
  return words === undefined ? undefined : `${option} ${name}${words === "" ? "" : ` ${words}`}`;
}

function targetWords(family: Family, target: Target): string {
  if (typeof target === "string") return `-j ${target}`;
  if ("jump" in target) return `-j ${target.jump}`;
  if ("goto" in target) return `-g ${target.goto}`;
  const row = targets[family][target.name];
  return extensionWords("-j", target.name, row, filled(row, target), family) ?? `-j ${target.name} ?`;
}

// --- From a line of iptables-save --------------------------------------------------------------------------------------------------------

const BEGINS_PART = new Set(["-s", "-d", "-i", "-o", "-p", "-m", "-j", "-g", "-f"]);

/** Parses a line of `iptables-save` or `iptables -S`. @param words The line `-A CHAIN words` without `-A CHAIN`. */
export function parseRuleLine(words: string): CanonicalRule {
  const tokens = words.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  const parts: string[][] = [];
  tokens.forEach((token, i) => {
    const begins = BEGINS_PART.has(token === "!" ? (tokens[i + 1] ?? "") : token) && tokens[i - 1] !== "!";
    if (begins || parts.length === 0) parts.push([]);
    parts.at(-1)?.push(token);
  });
  return settled(parts.map((part) => part.join(" ")));
}

// --- From the kernel ---------------------------------------------------------------------------------------------------------------------

/** Decodes a rule of the kernel; undefined when it has a part that is not known here. */
export function decodeRuleMessage(family: Family, rule: RuleMessage): CanonicalRule | undefined {
  const reading = new Reading(family);
  if (rule.userdata?.comment !== undefined) reading.words.push(`${COMMENT}${quoted(rule.userdata.comment)}`); // iptables 1.8.2
  for (const expression of rule.expressions ?? []) if (!reading.read(expression)) return undefined;
  return settled([...reading.words, ...reading.portWords()]);
}

/** The content of the register before it is compared. */
type Loaded =
  | { from: "interface"; option: "-i" | "-o" }
  | { from: "protocol" }
  | { from: "mark" }
  | { from: "address"; option: "-s" | "-d"; size: number }
  | { from: "ports"; which: "sources" | "destinations" | "both" };

/** Interprets the expressions of a rule with one register: no form of iptables uses more than one at a time. */
class Reading {
  readonly words: string[] = [];
  readonly #family: Family;
  #loaded: Loaded | undefined;
  #mask: Uint8Array | undefined;
  #protocol: number | undefined;
  #ports: { sources?: PortRange; destinations?: PortRange; inverted: number } | undefined;

  constructor(family: Family) {
    this.#family = family;
  }

  /** Reads one expression. @returns false when it is not known here */
  read(expression: Expression): boolean {
    switch (expression.name) {
      case "counter":
        return true;
      case "meta":
        return this.#load(metaOf(expression.data));
      case "payload":
        return this.#load(payloadOf(this.#family, expression.data));
      case "bitwise":
        this.#mask = expression.data?.mask?.value;
        return this.#mask !== undefined && !expression.data?.xor?.value?.some((byte) => byte !== 0);
      case "cmp":
        return this.#compare(expression.data?.operator, expression.data?.data?.value);
      case "range":
        return this.#range(expression.data);
      case "immediate":
        return this.#say(verdictWords(expression.data?.data?.verdict));
      case "match":
        return this.#say(this.#extension("-m", matches, expression.data));
      case "masq":
        return this.#say(this.#masquerade(expression.data));
      case "target":
        return this.#say(this.#extension("-j", targets[this.#family], expression.data));
      default:
        return false;
    }
  }

  /** Returns `-m tcp --dport 80` for rules of releases that compare ports natively. */
  portWords(): string[] {
    return this.#ports === undefined ? [] : [`-m ${PROTOCOLS[this.#protocol ?? 0]} ${portWords(this.#ports)}`];
  }

  #load(loaded: Loaded | undefined): boolean {
    this.#loaded = loaded;
    this.#mask = undefined;
    return loaded !== undefined;
  }

  #say(words: string | undefined): boolean {
    if (words !== undefined) this.words.push(words);
    return words !== undefined;
  }

  #compare(operator: number | undefined, value: Uint8Array | undefined): boolean {
    const loaded = this.#loaded;
    if (loaded === undefined || value === undefined) return false;
    if (operator !== NFT_CMP_EQ && operator !== NFT_CMP_NEQ) return false;
    const not = operator === NFT_CMP_NEQ;
    switch (loaded.from) {
      case "interface":
        this.words.push(...interfaceWords(loaded.option, { value: interfaceName(value), not }));
        return true;
      case "protocol":
        this.#protocol = value[0] ?? 0;
        return this.#say(protocolWords({ value: this.#protocol, not }));
      case "address":
        return this.#address(loaded, value, not);
      case "mark":
        return this.#say(
          `-m mark ${markWords({ value: hostNumber(value), mask: this.#mask ? hostNumber(this.#mask) : 0xffffffff, inverted: not })}`,
        );
      case "ports":
        return this.#comparePorts(loaded.which, value, not);
    }
  }

  #address({ option, size }: { option: "-s" | "-d"; size: number }, value: Uint8Array, not: boolean): boolean {
    const length = this.#mask === undefined ? 8 * value.length : prefixLength(this.#mask);
    if (length === undefined) return false;
    const address: Address = new Uint8Array(size);
    address.set(value.subarray(0, size));
    this.words.push(...addressWords(option, not ? { not: { address, length } } : { address, length }));
    return true;
  }

  #comparePorts(which: "sources" | "destinations" | "both", value: Uint8Array, not: boolean): boolean {
    const port = (at: number): PortRange => {
      const number = ((value[at] ?? 0) << 8) | (value[at + 1] ?? 0);
      return [number, number];
    };
    if (which !== "both") return this.#setPorts(which, port(0), not);
    return this.#setPorts("sources", port(0), not) && this.#setPorts("destinations", port(2), not);
  }

  #range(data: (Expression & { name: "range" })["data"]): boolean {
    const [from, to] = [data?.from?.value, data?.to?.value];
    const loaded = this.#loaded;
    if (loaded?.from !== "ports" || loaded.which === "both" || from === undefined || to === undefined) return false;
    if (data?.operator !== NFT_RANGE_EQ && data?.operator !== NFT_RANGE_NEQ) return false;
    const ends: PortRange = [((from[0] ?? 0) << 8) | (from[1] ?? 0), ((to[0] ?? 0) << 8) | (to[1] ?? 0)];
    return this.#setPorts(loaded.which, ends, data.operator === NFT_RANGE_NEQ);
  }

  #setPorts(which: "sources" | "destinations", range: PortRange, not: boolean): boolean {
    this.#ports ??= { inverted: 0 };
    this.#ports[which] = range;
    if (not) this.#ports.inverted |= which === "sources" ? 1 : 2;
    return true;
  }

  /** Reads the native `masq` expression, which nft writes and iptables never does. */
  #masquerade({ flags = 0, portMin }: (Expression & { name: "masq" })["data"] & object = {}): string | undefined {
    if (portMin !== undefined) return undefined;
    return extensionWords("-j", "MASQUERADE", targets[this.#family].MASQUERADE, { flags }, this.#family);
  }

  #extension(
    option: "-m" | "-j",
    table: Readonly<Record<string, AnyExtension>>,
    data: { name?: string; revision?: number; info?: Uint8Array } | undefined,
  ): string | undefined {
    const name = data?.name ?? "";
    const row = table[name];
    if (row === undefined || row.revision !== data?.revision || data.info === undefined) return undefined;
    return extensionWords(option, name, row, decode(row.info, data.info), this.#family);
  }
}

function metaOf(data: (Expression & { name: "meta" })["data"]): Loaded | undefined {
  if (data?.source !== undefined) return undefined; // it sets a value
  if (data?.key === NFT_META_IIFNAME) return { from: "interface", option: "-i" };
  if (data?.key === NFT_META_OIFNAME) return { from: "interface", option: "-o" };
  if (data?.key === NFT_META_L4PROTO) return { from: "protocol" };
  return data?.key === NFT_META_MARK ? { from: "mark" } : undefined;
}

/** The fields of the IP header by base, offset and, where it matters, length: "1 9 1". */
const PAYLOADS: Readonly<Record<Family, Readonly<Record<string, Loaded>>>> = {
  ip: {
    "1 12": { from: "address", option: "-s", size: 4 },
    "1 16": { from: "address", option: "-d", size: 4 },
    "1 9 1": { from: "protocol" },
  },
  ip6: {
    "1 8": { from: "address", option: "-s", size: 16 },
    "1 24": { from: "address", option: "-d", size: 16 },
  },
};
const PORTS: Readonly<Record<string, Loaded>> = {
  "2 0 2": { from: "ports", which: "sources" },
  "2 2 2": { from: "ports", which: "destinations" },
  "2 0 4": { from: "ports", which: "both" },
};

function payloadOf(family: Family, data: (Expression & { name: "payload" })["data"]): Loaded | undefined {
  if (data?.source !== undefined) return undefined; // it changes the packet
  const place = `${data?.base} ${data?.offset}`;
  const withLength = `${place} ${data?.length}`;
  return PAYLOADS[family][place] ?? PAYLOADS[family][withLength] ?? PORTS[withLength];
}

/** Returns the name; a value without NUL is the beginning of names and gets a "+". */
function interfaceName(value: Uint8Array): string {
  const end = value.indexOf(0);
  return end < 0 ? `${decodeText(value)}+` : decodeText(value, 0, end);
}

/** Returns the length of the prefix; undefined for a mask that is not contiguous. */
function prefixLength(mask: Uint8Array): number | undefined {
  const bits = Array.from(mask, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return /^1*0*$/.test(bits) ? bits.lastIndexOf("1") + 1 : undefined;
}

/** Returns a number that is in host byte order. */
const hostNumber = (value: Uint8Array): number =>
  new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(0, hostIsLittle);

function verdictWords(verdict: { code?: number; chain?: string } | undefined): string | undefined {
  switch (verdict?.code) {
    case NF_ACCEPT:
      return "-j ACCEPT";
    case NF_DROP:
      return "-j DROP";
    case NFT_RETURN:
      return "-j RETURN";
    case NFT_JUMP:
      return `-j ${verdict.chain}`;
    case NFT_GOTO:
      return `-g ${verdict.chain}`;
    default:
      return undefined;
  }
}
