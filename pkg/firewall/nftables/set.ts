// Requests for sets and maps of nf_tables: `nft add set`, `nft add map`, `nft add element`, `nft delete …`, for a batch (ruleset.ts).
//
// Elements are encoded by hand for the reason that rules are made from templates (template.ts): through the wire tables an element takes 20
// us, and a container may have a thousand.

import { equal } from "../../bytes/equal.ts";
import { type Connection, NetlinkError, query, type Request, request } from "../../netlink/connection.ts";
import { attribute, decode, encode, message } from "../../netlink/message.ts";
import {
  elementMessage,
  NFT_MSG_DELSETELEM,
  NFT_MSG_GETSETELEM,
  NFT_MSG_NEWSETELEM,
  type SetElement,
  setElement,
} from "../../netlink/nftables/element.ts";
import { concatenationType, NFT_MSG_NEWSET, NFT_SET_MAP, setMessage, TYPE_IFNAME } from "../../netlink/nftables/set.ts";
import { elementUserdata } from "../../netlink/nftables/userdata.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/nlmsg.ts";
import { IFNAMSIZ } from "../../netlink/rtnetlink/link/name.ts";
import {
  attributeEnd,
  attributeType,
  bytes,
  hostIsLittle,
  Input,
  NLA_TYPE_MASK,
  nested,
  type Wire,
} from "../../netlink/wire.ts";
import { isErrno } from "../../sys/errno.ts";
import { findBytes } from "../../sys/find-bytes.ts";
import { decode as decodeText, encode as encodeText } from "../../sys/text.ts";
import { NOT_THERE } from "./ruleset.ts";
import { ReadRules, readOnce } from "./wanted-rule.ts";

/** A set or map by name. */
export interface SetRef {
  /** NFPROTO_IPV4 … */
  family: number;
  table: string;
  set: string;
}

/** The fields of a key or a value: TYPE_* and length in bytes. In a concatenation each field begins at a multiple of 4. */
export type FieldTypes = readonly (readonly [type: number, length: number])[];

export const lengthOf = (fields: FieldTypes): number =>
  fields.length === 1 ? (fields[0]?.[1] ?? 0) : fields.reduce((sum, [, length]) => sum + padded(length), 0);

const padded = (length: number): number => (length + 3) & ~3;
const typeOf = (fields: FieldTypes): number => concatenationType(fields.map(([type]) => type));

/** Returns the key for an interface's name, or its field in a concatenation. */
export function interfaceKey(name: string): Uint8Array {
  const key = new Uint8Array(IFNAMSIZ);
  key.set(encodeText(name));
  return key;
}

export interface NewSet {
  key: FieldTypes;
  /** The fields of the values; makes it a map. */
  data?: FieldTypes;
  comment?: string;
}

export function newSet({ family, table, set }: SetRef, { key, data, comment }: NewSet): Request {
  return request({
    name: "NFT_MSG_NEWSET",
    type: NFT_MSG_NEWSET,
    flags: NLM_F_CREATE,
    table: setMessage,
    value: {
      family,
      table,
      name: set,
      flags: data === undefined ? 0 : NFT_SET_MAP,
      keyType: typeOf(key),
      keyLength: lengthOf(key),
      ...(data !== undefined && { dataType: typeOf(data), dataLength: lengthOf(data) }),
      id: 1, // the kernel requires it; nothing refers to it
      userdata: {
        keyByteOrder: key.length > 1 ? 0 : key[0]?.[0] === TYPE_IFNAME ? HOST_ENDIAN : BIG_ENDIAN,
        ...(data !== undefined && { dataByteOrder: 0, dataInterval: 0 }),
        comment,
      },
    },
  });
}
/** The byte order as nft records it in userdata: big endian for addresses and ports, host for names, 0 for concatenations. */
const BIG_ENDIAN = 2;
const HOST_ENDIAN = 1;

// --- Elements ----------------------------------------------------------------------------------------------------------------------------

export interface Element {
  key: Uint8Array;
  data?: Uint8Array | undefined;
}

/** Elements that differ only in a few bytes. */
export interface Elements<T> {
  items: readonly T[];
  /** The bytes that they have in common. */
  model: Element;
  /** Writes the differing bytes of an item into a copy of the model. */
  write(item: T, bytes: Uint8Array, keyAt: number, dataAt: number): void;
}

/**
 * Adds elements, given one by one or as a model with differences.
 *
 * @param comment The comment of all of them.
 * @param exclusive The kernel refuses with EEXIST when one of them exists.
 */
export function addElements<T = Element>(
  place: SetRef,
  elements: readonly Element[] | Elements<T>,
  { comment, exclusive = false }: { comment?: string; exclusive?: boolean } = {},
): Request[] {
  const userdata = comment === undefined ? undefined : encode(elementUserdata, { comment });
  const flags = NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0);
  const lists = "items" in elements ? chunked(elements, userdata) : chunked(alike(elements), userdata);
  return lists.map((list) => elementRequest("NEW", NFT_MSG_NEWSETELEM, flags, place, list));
}

export function deleteElements(place: SetRef, keys: readonly Uint8Array[]): Request[] {
  const lists = chunked(alike(keys.map((key) => ({ key }))), undefined);
  return lists.map((list) => elementRequest("DEL", NFT_MSG_DELSETELEM, 0, place, list));
}

const alike = (items: readonly Element[]): Elements<Element> => ({
  items,
  model: items[0] ?? { key: new Uint8Array() },
  write({ key, data }, bytes, keyAt, dataAt) {
    bytes.set(key, keyAt);
    if (data !== undefined) bytes.set(data, dataAt);
  },
});

function elementRequest(verb: string, type: number, flags: number, place: SetRef, elements: Uint8Array): Request {
  return request({
    name: `NFT_MSG_${verb}SETELEM`,
    type,
    flags,
    table: encodedElements,
    value: { ...place, elements },
  });
}

/** The wire table of element messages, for lists that are encoded already. */
const encodedElements = message({
  source: elementMessage.source,
  header: elementMessage.header.fields,
  attributes: {
    ...elementMessage.attributes,
    elements: attribute(3, "NFTA_SET_ELEM_LIST_ELEMENTS", nested(bytes)),
  },
});

/** The longest list, below the 65,535 bytes that an attribute can have with its header. */
const LIST_MAX = 65000;
const HEADER = 4;
const NLA_F_NESTED = 0x8000;
/** linux/netfilter/nf_tables.h: NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, _DATA, _USERDATA, NFTA_DATA_VALUE */
const LIST_ELEM = 1;
const ELEM_KEY = 1;
const ELEM_DATA = 2;
const ELEM_USERDATA = 6;
const DATA_VALUE = 1;

/** Returns the content of NFTA_SET_ELEM_LIST_ELEMENTS, in as many parts as needed. */
function chunked<T>(elements: Elements<T>, userdata: Uint8Array | undefined): Uint8Array[] {
  const { items, model } = elements;
  const one = encodeElement(model, userdata, NLA_F_NESTED);
  const perList = Math.floor(LIST_MAX / one.length);
  return Array.from({ length: Math.ceil(items.length / perList) }, (_, i) =>
    written({ ...elements, items: items.slice(i * perList, (i + 1) * perList) }, one),
  );
}

/** The offset of the key in an encoded element. */
const KEY_AT = 3 * HEADER;

/** Returns copies of an encoded element, one behind the other, with what differs in each. */
function written<T>({ items, model, write }: Elements<T>, one: Uint8Array): Uint8Array {
  const dataAt = KEY_AT + padded(model.key.length) + 2 * HEADER;
  const list = new Uint8Array(items.length * one.length);
  for (let i = 0, at = 0; i < items.length; i++, at += one.length) {
    list.set(one, at);
    write(items[i] as T, list, at + KEY_AT, at + dataAt);
  }
  return list;
}

/** @param nested The flag of attributes that contain others: NLA_F_NESTED as nft sends them, 0 as the kernel does. */
function encodeElement({ key, data }: Element, userdata: Uint8Array | undefined, nested: number): Uint8Array {
  const value = (type: number, value: Uint8Array) => packed(type | nested, [packed(DATA_VALUE, [value])]);
  const parts = [
    value(ELEM_KEY, key),
    ...(data === undefined ? [] : [value(ELEM_DATA, data)]),
    ...(userdata === undefined ? [] : [packed(ELEM_USERDATA, [userdata])]),
  ];
  return packed(LIST_ELEM | nested, parts);
}

function packed(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, HEADER);
  const out = new Uint8Array(padded(length));
  const view = new DataView(out.buffer);
  view.setUint16(0, length, hostIsLittle);
  view.setUint16(2, type, hostIsLittle);
  let at = HEADER;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Returns the element of a key; undefined when there is none, or no such set. */
export function findElement(netfilter: Connection, place: SetRef, key: Uint8Array): SetElement | undefined {
  return netfilter.find(elementQuery(place, key))?.elements?.[0];
}

/** Reports for each key whether it has an element, with one send. */
export function presentElements(
  netfilter: Connection,
  wanted: readonly { place: SetRef; key: Uint8Array }[],
): boolean[] {
  return netfilter.attemptAll(wanted.map(({ place, key }) => elementQuery(place, key))).map((refusal) => {
    if (refusal !== undefined && !isErrno(refusal, ...NOT_THERE)) throw refusal;
    return refusal === undefined;
  });
}

const elementQuery = (place: SetRef, key: Uint8Array) =>
  query({
    name: "NFT_MSG_GETSETELEM",
    type: NFT_MSG_GETSETELEM,
    table: elementMessage,
    value: { ...place, elements: [{ key: { value: key } }] },
  });

// --- Comparison --------------------------------------------------------------------------------------------------------------------------

/** The number of elements from which on a set is read as a whole, instead of element by element. */
export const MANY = 64;

/** Returns the items whose element is not there exactly as wanted, and what the set has for their key, in no particular order. */
export function deviatingElements<T>(
  netfilter: Connection,
  place: SetRef,
  wanted: Elements<T>,
  comment: string,
): Map<T, SetElement | undefined> {
  const deviating = new Map<T, SetElement | undefined>();
  const { items, model } = wanted;
  if (items.length === 0) return deviating;
  const one = encodeElement(model, encode(elementUserdata, { comment }), 0);
  const textSize = comment.length > 4 && isAscii(comment) ? (comment.length - 4) & ~3 : 0;
  const encoded = { list: written(wanted, one), size: one.length, keySize: model.key.length, textSize };
  const present = items.length < MANY ? oneByOne(netfilter, place, encoded) : inDump(netfilter, place, encoded);
  for (let i = 0; i < items.length; i++) {
    const element = present[i];
    if (element !== "same") deviating.set(items[i] as T, element);
  }
  return deviating;
}

/** Reports whether the text has ASCII characters only: its encoding is the text, and nothing else decodes to it. */
const isAscii = (text: string): boolean => /^[ -~]*$/.test(text);

/** What a set has for a wanted element: the same, one with another value or comment, or none. */
type PresentElement = "same" | SetElement | undefined;

/** Encoded elements of one size. */
interface EncodedElements {
  list: Uint8Array;
  size: number;
  keySize: number;
  /** The size of the text at the end that all have in common, with its padding: of the comment, unless that is not ASCII. */
  textSize: number;
}

function oneByOne(netfilter: Connection, place: SetRef, { list, size, keySize }: EncodedElements): PresentElement[] {
  return Array.from({ length: list.length / size }, (_, i) => {
    const encoded = list.subarray(i * size, (i + 1) * size);
    return settled(findElement(netfilter, place, encoded.subarray(KEY_AT, KEY_AT + keySize)), encoded);
  });
}

/** Returns "same" for an element that is encoded like this. */
function settled(element: SetElement | undefined, encoded: Uint8Array): PresentElement {
  if (element?.key?.value === undefined) return element;
  const { key, data, userdata } = element;
  const found = encodeElement(
    { key: key.value as Uint8Array, data: data?.value },
    userdata && encode(elementUserdata, userdata),
    0,
  );
  return equal(found, encoded) ? "same" : element;
}

/** Reads the set once. What the kernel sends for an element that is as wanted are the wanted bytes, so only others are decoded. */
function inDump(
  netfilter: Connection,
  place: SetRef,
  { list, size, keySize, textSize }: EncodedElements,
): PresentElement[] {
  const wanted = new Int32Array(list.buffer);
  const [step, keyWords] = [size / 4, keySize / 4];
  const textAt = size - textSize;
  const text = decodeText(list, textAt, size); // one call compares it; a word takes 0.1 us
  const isText = ({ bytes }: Input, at: number) => decodeText(bytes, at + textAt, at + size) === text;
  const encodedAt = (index: number) => list.subarray(index * size, (index + 1) * size);
  const decoded = ({ bytes }: Input, at: number, end: number) => decode(setElement, bytes.subarray(at + HEADER, end));

  const present: PresentElement[] = new Array(list.length / size).fill(undefined);
  const indexes: WordTree = new Map();
  for (let i = 0; i < present.length; i++) plant(indexes, wanted, i * step + KEY_AT / 4, keyWords, i);

  const read = (input: Input, from: number, to: number): Found => {
    const found: Found = { same: [], other: [] };
    const words = new Int32Array(input.bytes.buffer, input.bytes.byteOffset, to >> 2); // messages begin at multiples of 4
    const elements = listIn(input, from, to);
    for (let at = elements.from; elements.to - at >= HEADER; ) {
      const end = attributeEnd(input, at, elements.to);
      const index = indexIn(indexes, words, (at + KEY_AT) / 4, keyWords);
      if (index !== undefined) {
        if (end - at === size && isSame(words, at / 4, wanted, index * step, textAt / 4) && isText(input, at))
          found.same.push(index);
        else found.other.push([index, settled(decoded(input, at, end), encodedAt(index))]);
      }
      at = padded(end);
    }
    return found;
  };

  try {
    const all = { ...allElements(place), answers: { write() {}, read, text: () => "" } };
    for (const { same, other } of netfilter.dump(all)) {
      for (const index of same) present[index] = "same";
      for (const [index, element] of other) present[index] = element;
    }
  } catch (error) {
    if (!isErrno(error, ...NOT_THERE)) throw error;
  }
  return present;
}

/** The wanted elements in one message of a dump, by their indexes. */
interface Found {
  same: number[];
  other: [number, PresentElement][];
}

/** Numbers by keys of several words: a level for each word. */
type WordTree = Map<number, WordTree | number>;

function plant(tree: WordTree, words: Int32Array, at: number, count: number, value: number): void {
  let level = tree;
  for (let i = 0; i < count - 1; i++) {
    const word = words[at + i] as number;
    const next = level.get(word) ?? new Map<number, WordTree | number>();
    level.set(word, next);
    level = next as WordTree;
  }
  level.set(words[at + count - 1] as number, value);
}

function indexIn(tree: WordTree, words: Int32Array, at: number, count: number): number | undefined {
  let level: WordTree | number | undefined = tree;
  for (let i = 0; i < count && level !== undefined; i++) level = (level as WordTree).get(words[at + i] as number);
  return level as number | undefined;
}

function isSame(one: Int32Array, oneAt: number, other: Int32Array, otherAt: number, count: number): boolean {
  for (let i = 0; i < count; i++) if (one[oneAt + i] !== other[otherAt + i]) return false;
  return true;
}

/** Returns where the content of NFTA_SET_ELEM_LIST_ELEMENTS is in a message. */
function listIn(input: Input, from: number, to: number): { from: number; to: number } {
  for (let at = from + NFGENMSG_SIZE; to - at >= HEADER; ) {
    const end = attributeEnd(input, at, to);
    if ((attributeType(input, at) & NLA_TYPE_MASK) === LIST_ELEMENTS) return { from: at + HEADER, to: end };
    at = padded(end);
  }
  return { from: to, to };
}
const LIST_ELEMENTS = elementMessage.attributes.elements.type;
const NFGENMSG_SIZE = 4;

/** Returns all elements of a set; undefined when there is no such set. */
export function listElements(netfilter: Connection, place: SetRef): SetElement[] | undefined {
  return ifThere(() => netfilter.dump(allElements(place)).flatMap(({ elements = [] }) => elements));
}

/**
 * Returns the elements of a set that contain a text, as in their comments; none when there is no such set. The others are not decoded, which takes
 * 20 us for each.
 */
export const elementsWith = (netfilter: Connection, place: SetRef, text: string): SetElement[] =>
  encodedWith(netfilter, place, text).map((encoded) => decode(setElement, encoded.subarray(HEADER)));

/** Returns how many elements of a set contain a text. */
export const countElementsWith = (netfilter: Connection, place: SetRef, text: string): number =>
  encodedWith(netfilter, place, text).length;

function encodedWith(netfilter: Connection, place: SetRef, text: string): Uint8Array[] {
  const { memory } = netfilter;
  if (memory === undefined) return readElements(netfilter, place, text);
  return readOnce(memory, memoryKey(place), () => readElements(netfilter, place, "")).holding(text);
}

const memoryKey = ({ family, table, set }: SetRef): string => `elements ${family} ${table} ${set}`;

/** Takes elements out of what was read of a set through the connection, or forgets it when the request does anything but delete. */
export function forgetElements(memory: Map<string, unknown>, { type, value }: Request): void {
  const { elements, ...place } = value as SetRef & { elements: Uint8Array };
  const known = memory.get(memoryKey(place));
  if (!(known instanceof ReadRules)) return;
  if (type === NFT_MSG_DELSETELEM) known.remove(known.havingKey(keysOfEncoded, keysIn(elements)));
  else memory.delete(memoryKey(place));
}

const keysOfEncoded = (encoded: Uint8Array): readonly string[] => [keyAt(encoded, 0)];

function keysIn(list: Uint8Array): string[] {
  const input = new Input(list);
  const keys: string[] = [];
  for (let at = 0; list.length - at >= HEADER; at = padded(attributeEnd(input, at, list.length)))
    keys.push(keyAt(list, at));
  return keys;
}

/** Returns the key of an encoded element as a text. */
const keyAt = (list: Uint8Array, at: number): string =>
  String(list.subarray(at + KEY_AT, attributeEnd(new Input(list), at + KEY_AT - HEADER, list.length)));

function readElements(netfilter: Connection, place: SetRef, text: string): Uint8Array[] {
  return ifThere(() => netfilter.dump({ ...allElements(place), answers: encodedElementsWith(text) }).flat()) ?? [];
}

/** Reads a message of a dump: looks for the text in the whole message first, which is hundreds of elements. */
function encodedElementsWith(text: string): Wire<Uint8Array[], never> {
  const wanted = encodeText(text);
  return {
    write() {},
    read(input: Input, from: number, to: number): Uint8Array[] {
      const { bytes } = input;
      const found: Uint8Array[] = [];
      if (findBytes(bytes, wanted, from, to) < 0) return found;
      const elements = listIn(input, from, to);
      for (let at = elements.from; elements.to - at >= HEADER; ) {
        const end = attributeEnd(input, at, elements.to);
        if (findBytes(bytes, wanted, at, end) >= 0) found.push(bytes.slice(at, end));
        at = padded(end);
      }
      return found;
    },
    text: () => "",
  };
}

/** Returns undefined where the kernel says that there is no such set. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof NetlinkError && isErrno(error, ...NOT_THERE)) return undefined;
    throw error;
  }
}

const allElements = (place: SetRef) =>
  query({ name: "NFT_MSG_GETSETELEM", type: NFT_MSG_GETSETELEM, table: elementMessage, value: { ...place } });
