// Requests for sets and maps of nf_tables: `nft add set`, `nft add map`, `nft add element`, `nft delete …`, for a batch (ruleset.ts).
//
// Elements are encoded by hand for the reason that rules are made from templates (template.ts): through the wire tables an element takes 20
// us, and a container may have a thousand.
import { type Connection, NetlinkError, query, type Request, request } from "../../netlink/connection.ts";
import { attribute, encode, message } from "../../netlink/message.ts";
import {
  elementMessage,
  NFT_MSG_DELSETELEM,
  NFT_MSG_GETSETELEM,
  NFT_MSG_NEWSETELEM,
  type SetElement,
} from "../../netlink/nftables/element.ts";
import { concatenationType, NFT_MSG_NEWSET, NFT_SET_MAP, setMessage, TYPE_IFNAME } from "../../netlink/nftables/set.ts";
import { elementUserdata } from "../../netlink/nftables/userdata.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/nlmsg.ts";
import { bytes, hostIsLittle, nested } from "../../netlink/wire.ts";
import { isErrno } from "../../sys/errno.ts";

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

/** The errors that mean "does not exist"; EOPNOTSUPP and EINVAL come from a kernel without nf_tables. */
const NOT_THERE = ["ENOENT", "EOPNOTSUPP", "EINVAL"] as const;

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
function chunked<T>({ items, model, write }: Elements<T>, userdata: Uint8Array | undefined): Uint8Array[] {
  if (items.length === 0) return [];
  const bytes = encodeElement(model, userdata);
  const keyAt = 3 * HEADER;
  const dataAt = keyAt + padded(model.key.length) + 2 * HEADER;
  const perList = Math.floor(LIST_MAX / bytes.length);
  const lists: Uint8Array[] = [];
  for (let from = 0; from < items.length; from += perList) {
    const count = Math.min(perList, items.length - from);
    const list = new Uint8Array(count * bytes.length);
    for (let i = 0, at = 0; i < count; i++, at += bytes.length) {
      list.set(bytes, at);
      write(items[from + i] as T, list, at + keyAt, at + dataAt);
    }
    lists.push(list);
  }
  return lists;
}

function encodeElement({ key, data }: Element, userdata: Uint8Array | undefined): Uint8Array {
  const parts = [
    nest(ELEM_KEY, leaf(DATA_VALUE, key)),
    ...(data === undefined ? [] : [nest(ELEM_DATA, leaf(DATA_VALUE, data))]),
    ...(userdata === undefined ? [] : [leaf(ELEM_USERDATA, userdata)]),
  ];
  return nest(LIST_ELEM, ...parts);
}

const nest = (type: number, ...parts: readonly Uint8Array[]): Uint8Array => packed(type | NLA_F_NESTED, parts);
const leaf = (type: number, value: Uint8Array): Uint8Array => packed(type, [value]);

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

/** Returns all elements of a set; undefined when there is no such set. */
export function listElements(netfilter: Connection, place: SetRef): SetElement[] | undefined {
  const all = query({
    name: "NFT_MSG_GETSETELEM",
    type: NFT_MSG_GETSETELEM,
    table: elementMessage,
    value: { ...place },
  });
  try {
    return netfilter.dump(all).flatMap(({ elements = [] }) => elements);
  } catch (error) {
    if (error instanceof NetlinkError && isErrno(error, ...NOT_THERE)) return undefined;
    throw error;
  }
}
