// What nft keeps in the userdata of tables, chains, rules, sets and elements: comments above all. The kernel stores the bytes without looking.
// Source: libnftnl, include/libnftnl/udata.h: NFTNL_UDATA_*; type and length are one byte each, numbers in the host's order, nothing is padded.
import { type Attribute, type Attributes, attribute, type Unknown } from "../message.ts";
import {
  type AnyWire,
  bytes,
  cstring,
  type InOf,
  type OutOf,
  type Siblings,
  u32,
  type Wire,
  WireError,
  within,
} from "../wire.ts";

type EntriesOut<A extends Attributes> = { [K in keyof A]?: OutOf<A[K]["wire"]> } & { unknown?: Unknown[] };
type EntriesIn<A extends Attributes> = { [K in keyof A]?: InOf<A[K]["wire"]> | undefined } & {
  unknown?: readonly Unknown[] | undefined;
};

const maxLength = 255;

/** Userdata that are not of this form, as other programs may write, are left to their table to keep as unknown. */
function userdata<const A extends Attributes>(entries: A): Wire<EntriesOut<A>, EntriesIn<A>> {
  const byType = new Map<number, [string, Attribute<AnyWire>]>();
  for (const [key, entry] of Object.entries(entries)) byType.set(entry.type, [key, entry]);
  const textOf = (key: string, item: unknown, value: Siblings) => `${key}: ${entries[key]?.wire.text(item, value)}`;

  return {
    write(out, value) {
      const given = value as Siblings;
      for (const key in value) {
        const entry = entries[key];
        if (entry === undefined || given[key] === undefined) continue;
        out.room(2 + 8);
        const start = out.at;
        out.at += 2;
        entry.wire.write(out, given[key], given);
        const length = out.at - start - 2;
        if (length > maxLength) throw within(entry.name, new WireError(`${length} bytes, at most ${maxLength} fit`));
        out.bytes[start] = entry.type;
        out.bytes[start + 1] = length;
      }
      for (const entry of value.unknown ?? []) {
        out.room(2 + entry.bytes.length);
        out.bytes[out.at++] = entry.type;
        out.bytes[out.at++] = entry.bytes.length;
        out.bytes.set(entry.bytes, out.at);
        out.at += entry.bytes.length;
      }
    },
    read(input, from, to) {
      const record: Record<string, unknown> = {};
      const unknown: Unknown[] = [];
      for (let at = from; at < to; ) {
        const type = input.bytes[at] as number;
        const end = at + 2 + (input.bytes[at + 1] ?? maxLength);
        if (end > to) return undefined as unknown as EntriesOut<A>; // the table keeps the bytes
        const [key, entry] = byType.get(type) ?? [];
        if (key === undefined || entry === undefined || key in record) {
          unknown.push({ type, bytes: input.bytes.slice(at + 2, end) });
        } else {
          record[key] = entry.wire.read(input, at + 2, end, record);
        }
        at = end;
      }
      if (unknown.length > 0) record["unknown"] = unknown;
      return record as EntriesOut<A>;
    },
    text(value) {
      const given = value as Siblings;
      const parts = Object.entries(given).flatMap(([key, item]) => (key in entries ? [textOf(key, item, given)] : []));
      return `{${parts.join(", ")}}`;
    },
  };
}

/** NFTA_TABLE_USERDATA. */
export const tableUserdata = userdata({ comment: attribute(0, "NFTNL_UDATA_TABLE_COMMENT", cstring) });

/** NFTA_CHAIN_USERDATA. */
export const chainUserdata = userdata({ comment: attribute(0, "NFTNL_UDATA_CHAIN_COMMENT", cstring) });

/** NFTA_RULE_USERDATA. */
export const ruleUserdata = userdata({
  comment: attribute(0, "NFTNL_UDATA_RULE_COMMENT", cstring),
  ebtablesPolicy: attribute(1, "NFTNL_UDATA_RULE_EBTABLES_POLICY", u32),
});

/** NFTA_SET_USERDATA. */
export const setUserdata = userdata({
  keyByteOrder: attribute(0, "NFTNL_UDATA_SET_KEYBYTEORDER", u32),
  dataByteOrder: attribute(1, "NFTNL_UDATA_SET_DATABYTEORDER", u32),
  mergeElements: attribute(2, "NFTNL_UDATA_SET_MERGE_ELEMENTS", u32),
  keyTypeof: attribute(3, "NFTNL_UDATA_SET_KEY_TYPEOF", bytes), // what a script said instead of a type
  dataTypeof: attribute(4, "NFTNL_UDATA_SET_DATA_TYPEOF", bytes),
  expression: attribute(5, "NFTNL_UDATA_SET_EXPR", bytes),
  dataInterval: attribute(6, "NFTNL_UDATA_SET_DATA_INTERVAL", u32),
  comment: attribute(7, "NFTNL_UDATA_SET_COMMENT", cstring),
});

/** NFTA_SET_ELEM_USERDATA. */
export const elementUserdata = userdata({
  comment: attribute(0, "NFTNL_UDATA_SET_ELEM_COMMENT", cstring),
  flags: attribute(1, "NFTNL_UDATA_SET_ELEM_FLAGS", u32),
});

/** In `keyByteOrder` and `dataByteOrder`, so that nft prints numbers as they are meant. */
export const BYTEORDER_HOST_ENDIAN = 1;
export const BYTEORDER_BIG_ENDIAN = 2;
