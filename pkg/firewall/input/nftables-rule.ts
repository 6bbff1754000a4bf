/**
 * Evaluates a rule of nf_tables, as the kernel sends it, for a packet: what registers hold is known byte by byte. Expressions that are not
 * known here make the rule's condition, and what they load, unknown. Pure.
 */

import { decode } from "../../netlink/message.ts";
import {
  NF_ACCEPT,
  NF_DROP,
  NFT_CONTINUE,
  NFT_GOTO,
  NFT_JUMP,
  NFT_REG_1,
  NFT_REG_VERDICT,
  NFT_REG32_00,
  NFT_RETURN,
  type NftData,
} from "../../netlink/nftables/data.ts";
import { NFT_SET_ELEM_CATCHALL, NFT_SET_ELEM_INTERVAL_END, type SetElement } from "../../netlink/nftables/element.ts";
import { NFT_BITWISE_MASK_XOR } from "../../netlink/nftables/expression/bitwise.ts";
import {
  NFT_CMP_EQ,
  NFT_CMP_GT,
  NFT_CMP_GTE,
  NFT_CMP_LT,
  NFT_CMP_LTE,
  NFT_CMP_NEQ,
} from "../../netlink/nftables/expression/cmp.ts";
import { NFT_CT_STATE, NFT_CT_STATUS } from "../../netlink/nftables/expression/ct.ts";
import { NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR } from "../../netlink/nftables/expression/fib.ts";
import { NFT_LOOKUP_F_INV } from "../../netlink/nftables/expression/lookup.ts";
import {
  NFT_META_IIF,
  NFT_META_IIFNAME,
  NFT_META_L4PROTO,
  NFT_META_NFPROTO,
  NFT_META_OIF,
  NFT_META_OIFNAME,
  NFT_META_PROTOCOL,
} from "../../netlink/nftables/expression/meta.ts";
import { NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER } from "../../netlink/nftables/expression/payload.ts";
import { NFT_RANGE_NEQ } from "../../netlink/nftables/expression/range.ts";
import type { Expression } from "../../netlink/nftables/expression.ts";
import { NFT_SET_CONCAT, NFT_SET_INTERVAL, type SetMessage } from "../../netlink/nftables/set.ts";
import { IFNAMSIZ } from "../../netlink/rtnetlink/link/name.ts";
import { RTN_LOCAL, RTN_UNICAST } from "../../netlink/rtnetlink/route.ts";
import { hostIsLittle } from "../../netlink/wire.ts";
import { ADDRESS_OFFSETS, nfproto } from "../family.ts";
import { type AnyExtension, matches as extensions } from "../iptables/xtables.ts";
import { actionOfTarget, evaluatePart } from "./iptables-words.ts";
import { both, type Certainty, certainly, not, type Packet, type PacketInterface } from "./packet.ts";
import type { Action, EvaluatedRule } from "./traversal.ts";

/** Bytes, each of which may be unknown. */
type Bytes = readonly (number | undefined)[];

export interface SetContent {
  set: SetMessage;
  elements: readonly SetElement[];
}

/** Returns a set of the rule's table; undefined: it cannot be read. */
export type FindSet = (name: string) => SetContent | undefined;

const REGISTERS_SIZE = 80; // the verdict and four registers of 16 bytes
const PROTOCOL_UDP = 17;
/** linux/if_ether.h: ETH_P_IP, ETH_P_IPV6 */
const ETHERTYPES = { ip: [0x08, 0x00], ip6: [0x86, 0xdd] } as const;

/** Returns the rule as one or more: a lookup in a verdict map is one for each element. */
export function evaluateRule(expressions: readonly Expression[], packet: Packet, findSet: FindSet): EvaluatedRule[] {
  const registers: (number | undefined)[] = new Array(REGISTERS_SIZE).fill(undefined);
  const stored: Stored = (register, length) => registers.slice(offsetOf(register), offsetOf(register) + (length ?? 0));
  let matches: Certainty = "yes";
  let action: Action = "continue";
  for (const expression of expressions) {
    if (matches === "no") break;
    const verdicts = verdictsBy(expression, stored, findSet);
    if (verdicts !== undefined) return verdicts.map((one) => ({ ...one, matches: both(matches, one.matches) }));
    const loaded = loadedBy(expression, packet, stored);
    loaded?.bytes.forEach((byte, i) => {
      registers[offsetOf(loaded.register) + i] = byte;
    });
    const condition = loaded ? "yes" : conditionOf(expression, packet, stored, findSet);
    if (condition === undefined) registers.fill(undefined);
    if (condition === undefined) action = "unknown";
    matches = both(matches, condition ?? "unknown");
  }
  return [{ matches, action }];
}

/** Returns the content of a register. */
type Stored = (register: number | undefined, length: number | undefined) => Bytes;

/** Returns the rules that an expression with a verdict stands for; undefined: it has none. */
function verdictsBy({ name, data }: Expression, stored: Stored, findSet: FindSet): EvaluatedRule[] | undefined {
  if (name === "reject") return [{ matches: "yes", action: "drop" }];
  if (data === undefined) return undefined;
  if (name === "target") return [{ matches: "yes", action: actionOfTarget(data.name ?? "") }];
  if (name === "immediate" && data.destination === NFT_REG_VERDICT)
    return [{ matches: "yes", action: actionOf(data.data?.verdict) }];
  if (name !== "lookup" || data.destination !== NFT_REG_VERDICT) return undefined;
  const map = findSet(data.set ?? "");
  if (map === undefined) return [{ matches: "unknown", action: "unknown" }];
  return matching(map, stored(data.source, map.set.keyLength)).map(({ element, has }) => ({
    matches: has,
    action: actionOf(element.data?.verdict),
  }));
}

interface Loaded {
  register: number | undefined;
  bytes: Bytes;
}

/** Returns what an expression loads into a register; undefined: it loads nothing. */
function loadedBy({ name, data }: Expression, packet: Packet, stored: Stored): Loaded | undefined {
  if (data === undefined || !("destination" in data) || data.destination === undefined) return undefined;
  const register = data.destination;
  switch (name) {
    case "meta":
      return { register, bytes: metaValue(data.key, packet) };
    case "payload":
      return { register, bytes: payloadValue(data.base, data.offset ?? 0, data.length ?? 0, packet) };
    case "ct":
      return { register, bytes: ctValue(data.key, packet) };
    case "fib":
      return { register, bytes: fibValue(data.flags, data.result, packet) };
    case "immediate":
      return { register, bytes: [...(data.data?.value ?? [])] };
    case "bitwise": {
      const isMask = (data.operation ?? NFT_BITWISE_MASK_XOR) === NFT_BITWISE_MASK_XOR;
      const bytes = stored(data.source, data.length);
      return {
        register,
        bytes: isMask ? masked(bytes, data.mask?.value, data.xor?.value) : bytes.map(() => undefined),
      };
    }
    default:
      return undefined;
  }
}

/** Returns whether the rule continues behind an expression; undefined: the expression is not known here, and may also end the rule. */
function conditionOf(
  { name, data }: Expression,
  packet: Packet,
  stored: Stored,
  findSet: FindSet,
): Certainty | undefined {
  if (["counter", "log", "notrack"].includes(name ?? "")) return "yes";
  if (data === undefined) return undefined;
  switch (name) {
    case "meta": // sets the mark or the like
    case "ct":
    case "payload":
      return "yes";
    case "cmp": {
      const value = data.data?.value ?? new Uint8Array();
      return compare(stored(data.source, value.length), data.operator, value);
    }
    case "range": {
      const [from, to] = [data.from?.value ?? new Uint8Array(), data.to?.value ?? new Uint8Array()];
      const isInside = isBetween(stored(data.source, from.length), from, to);
      return data.operator === NFT_RANGE_NEQ ? not(isInside) : isInside;
    }
    case "lookup": {
      const set = data.destination === undefined ? findSet(data.set ?? "") : undefined; // what a map has for the key is not followed
      if (set === undefined) return undefined;
      const isIn = any(matching(set, stored(data.source, set.set.keyLength)).map(({ has }) => has));
      return (data.flags ?? 0) & NFT_LOOKUP_F_INV ? not(isIn) : isIn;
    }
    case "match":
      return evaluateExtension(data, packet);
    case "limit":
      return "unknown";
    default:
      return undefined;
  }
}

/** linux/netfilter/nf_tables.h: enum nft_registers; the second kind names 4 bytes of the first kind's memory. */
function offsetOf(register: number = NFT_REG_1): number {
  return register >= NFT_REG32_00 ? 16 + 4 * (register - NFT_REG32_00) : 16 * register;
}

function actionOf(verdict: NftData["verdict"]): Action {
  const { code, chain = "" } = verdict ?? {};
  switch (code) {
    case NF_ACCEPT:
      return "accept";
    case NF_DROP:
      return "drop";
    case NFT_JUMP:
      return { jump: chain };
    case NFT_GOTO:
      return { goto: chain };
    case NFT_RETURN:
      return "return";
    case NFT_CONTINUE:
      return "continue";
    default:
      return "unknown"; // a queue of a program
  }
}

// --- What is known of the packet ---------------------------------------------------------------------------------------------------------

const UNKNOWN: Bytes = new Array(16).fill(undefined);

function metaValue(key: number | undefined, packet: Packet): Bytes {
  const { family, inInterface, outInterface } = packet;
  switch (key) {
    case NFT_META_IIF:
      return hostOrder(inInterface.index);
    case NFT_META_IIFNAME:
      return paddedName(inInterface);
    case NFT_META_OIF:
      return outInterface === undefined ? UNKNOWN : hostOrder(outInterface.index);
    case NFT_META_OIFNAME:
      return outInterface === undefined ? UNKNOWN : paddedName(outInterface);
    case NFT_META_L4PROTO:
      return [protocolOf(packet), 0, 0, 0];
    case NFT_META_NFPROTO:
      return [nfproto[family], 0, 0, 0];
    case NFT_META_PROTOCOL:
      return [...ETHERTYPES[family], 0, 0];
    default:
      return UNKNOWN;
  }
}

const paddedName = ({ name }: PacketInterface): Bytes =>
  Array.from({ length: IFNAMSIZ }, (_, i) => name.charCodeAt(i) || 0);

function payloadValue(base: number | undefined, offset: number, length: number, packet: Packet): Bytes {
  const header =
    base === NFT_PAYLOAD_NETWORK_HEADER
      ? networkHeader(packet)
      : base === NFT_PAYLOAD_TRANSPORT_HEADER
        ? udpHeader(packet)
        : [];
  return Array.from({ length: Math.max(length, 4) }, (_, i) => (i < length ? header[offset + i] : 0));
}

const protocolOf = ({ destinationPort }: Packet): number | undefined =>
  destinationPort === undefined ? undefined : PROTOCOL_UDP;

function networkHeader(packet: Packet): Bytes {
  const { family, source, destination } = packet;
  const header: (number | undefined)[] = [];
  const at = ADDRESS_OFFSETS[family];
  source?.forEach((byte, i) => {
    header[at.source + i] = byte;
  });
  destination?.forEach((byte, i) => {
    header[at.destination + i] = byte;
  });
  header[family === "ip" ? 9 : 6] = protocolOf(packet); // IPv6: unless there are extension headers, which tunnels do not send
  return header;
}

const udpHeader = ({ destinationPort: port }: Packet): Bytes =>
  port === undefined ? [] : [undefined, undefined, port >> 8, port & 0xff];

function ctValue(key: number | undefined, { state }: Packet): Bytes {
  if (key === NFT_CT_STATE) return hostOrder(state);
  if (key === NFT_CT_STATUS) return hostOrder(0); // IPS_*: the flow is new, and its destination was not translated
  return UNKNOWN;
}

const fibValue = (flags: number | undefined, result: number | undefined, { outInterface }: Packet): Bytes =>
  flags === NFTA_FIB_F_DADDR && result === NFT_FIB_RESULT_ADDRTYPE
    ? hostOrder(outInterface === undefined ? RTN_LOCAL : RTN_UNICAST)
    : UNKNOWN;

function hostOrder(value: number): Bytes {
  const bytes = [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
  return hostIsLittle ? bytes : bytes.reverse();
}

// --- Comparisons -------------------------------------------------------------------------------------------------------------------------

const masked = (bytes: Bytes, mask: Uint8Array | undefined, xor: Uint8Array | undefined): Bytes =>
  bytes.map((byte, i) => {
    const bits = mask?.[i] ?? 0xff;
    if (bits !== 0 && byte === undefined) return undefined;
    return ((byte ?? 0) & bits) ^ (xor?.[i] ?? 0);
  });

function isEqual(bytes: Bytes, value: ArrayLike<number>): Certainty {
  let certainty: Certainty = "yes";
  bytes.forEach((byte, i) => {
    certainty = both(certainty, byte === undefined ? "unknown" : certainly(byte === value[i]));
  });
  return certainty;
}

/** Returns the order of two values as the kernel compares them, by their bytes; undefined: unknown. */
function order(bytes: Bytes, value: ArrayLike<number>): number | undefined {
  for (const [i, byte] of bytes.entries()) {
    if (byte === undefined) return undefined;
    const difference = byte - (value[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function compare(bytes: Bytes, operator: number | undefined, value: Uint8Array): Certainty {
  if (operator === NFT_CMP_EQ) return isEqual(bytes, value);
  if (operator === NFT_CMP_NEQ) return not(isEqual(bytes, value));
  const difference = order(bytes, value);
  if (difference === undefined) return "unknown";
  switch (operator) {
    case NFT_CMP_LT:
      return certainly(difference < 0);
    case NFT_CMP_LTE:
      return certainly(difference <= 0);
    case NFT_CMP_GT:
      return certainly(difference > 0);
    case NFT_CMP_GTE:
      return certainly(difference >= 0);
    default:
      return "unknown";
  }
}

const isBetween = (bytes: Bytes, from: Uint8Array, to: Uint8Array): Certainty =>
  both(compare(bytes, NFT_CMP_GTE, from), compare(bytes, NFT_CMP_LTE, to));

function evaluateExtension(
  {
    name = "",
    revision,
    info,
  }: { name?: string | undefined; revision?: number | undefined; info?: Uint8Array | undefined },
  packet: Packet,
): Certainty {
  const row = (extensions as Readonly<Record<string, AnyExtension>>)[name];
  if (row === undefined || row.revision !== revision || info === undefined || info.length < row.info.size)
    return name === "comment" ? "yes" : "unknown";
  const words = row.words(decode(row.info, info.subarray(0, row.info.size)) as never, packet.family);
  if (words === undefined) return "unknown";
  return evaluatePart(`-m ${name}${words === "" ? "" : ` ${words}`}`, packet);
}

// --- Sets --------------------------------------------------------------------------------------------------------------------------------

function any(certainties: readonly Certainty[]): Certainty {
  if (certainties.includes("yes")) return "yes";
  return certainties.includes("unknown") ? "unknown" : "no";
}

interface MatchedElement {
  element: SetElement;
  has: Certainty;
}

/** Returns the elements that may have the key; that of all other keys is the last. */
function matching({ set, elements }: SetContent, key: Bytes): MatchedElement[] {
  const flags = set.flags ?? 0;
  const [others, own] = partition(elements, (one) => ((one.flags ?? 0) & NFT_SET_ELEM_CATCHALL) !== 0);
  const isOfIntervals = (flags & NFT_SET_INTERVAL) !== 0 && (flags & NFT_SET_CONCAT) === 0;
  const found = isOfIntervals
    ? inIntervals(own, key)
    : own
        .map((element) => ({ element, has: hasKey(element, key, fieldLengths(set)) }))
        .filter(({ has }) => has !== "no");
  if (found.some(({ has }) => has === "yes")) return found;
  return [...found, ...others.map((element) => ({ element, has: found.length === 0 ? "yes" : "unknown" }) as const)];
}

function partition<T>(items: readonly T[], isFirst: (item: T) => boolean): [T[], T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

/** Each interval is the element of its first value, and one with a flag for the first value behind it; the last may have no end. */
function inIntervals(elements: readonly SetElement[], key: Bytes): MatchedElement[] {
  const isEnd = ({ flags = 0 }: SetElement) => (flags & NFT_SET_ELEM_INTERVAL_END) !== 0;
  const bytesOf = ({ key: of }: SetElement): Uint8Array => of?.value ?? new Uint8Array();
  const starts = elements.filter((element) => !isEnd(element));
  if (key.includes(undefined)) return starts.map((element) => ({ element, has: "unknown" }));
  let last: SetElement | undefined;
  for (const element of elements) {
    if ((order(key, bytesOf(element)) ?? -1) < 0) continue;
    const isLater = last === undefined ? 1 : (order([...bytesOf(element)], bytesOf(last)) ?? 0);
    if (isLater > 0 || (isLater === 0 && !isEnd(element))) last = element;
  }
  return last === undefined || isEnd(last) ? [] : [{ element: last, has: "yes" }];
}

/** The lengths of a key's fields, each rounded to whole registers. */
const fieldLengths = ({ description, keyLength = 0 }: SetMessage): number[] =>
  description?.fields?.map(({ length = 0 }) => (length + 3) & ~3) ?? [keyLength];

function hasKey(element: SetElement, key: Bytes, lengths: readonly number[]): Certainty {
  const from = element.key?.value ?? new Uint8Array();
  const to = element.keyEnd?.value;
  if (to === undefined) return isEqual(key, from);
  let at = 0;
  let has: Certainty = "yes";
  for (const length of lengths) {
    const end = at + length;
    has = both(has, isBetween(key.slice(at, end), from.subarray(at, end), to.subarray(at, end)));
    at = end;
  }
  return has;
}
