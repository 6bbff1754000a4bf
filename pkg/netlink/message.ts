// Encodes and decodes messages by tables. A message is a struct and attributes; its table has one row for each attribute, from which the
// types, the encoder, the decoder, the trace and the names in errors are derived.

import { findAttributes } from "../sys/netlink-attributes.ts";
import {
  type AnyWire,
  attributeEnd,
  attributeType,
  type Fields,
  type FieldsIn,
  type FieldsOut,
  hostIsLittle,
  type InOf,
  Input,
  NLA_TYPE_MASK,
  type OutOf,
  type Repeated,
  type Selected,
  type Siblings,
  type Struct,
  struct,
  type Wire,
  WireError,
  Writer,
  within,
} from "./wire.ts";

export interface Attribute<W extends AnyWire> {
  readonly type: number;
  /** The kernel's name of the attribute. */
  readonly name: string;
  readonly wire: W;
}

export function attribute<W extends AnyWire>(type: number, name: string, wire: W): Attribute<W> {
  return { type, name, wire };
}

export type Attributes = Readonly<Record<string, Attribute<AnyWire>>>;

/** An attribute that has no row, kept as bytes. `type` includes its flags (NLA_F_NESTED). Encoded after all others. */
export interface Unknown {
  type: number;
  bytes: Uint8Array;
}

/** A table. It is also a wire type, so that it can be nested in the rows of other tables. */
export interface Table<H extends Fields, A extends Attributes> extends Wire<TableOut<H, A>, TableIn<H, A>> {
  readonly source: string;
  readonly header: Struct<H>;
  readonly attributes: A;
}

/** The decoded message: every header field, and the attributes that were present. */
export type MessageOf<T extends AnyWire> = OutOf<T>;

/** The message to encode: all optional, header fields are 0 by default, an attribute that is undefined is left out. */
export type RequestOf<T extends AnyWire> = InOf<T>;

type TableOut<H extends Fields, A extends Attributes> = Readable<
  FieldsOut<H> & { [K in PlainKeys<A>]?: OutOf<A[K]["wire"]> } & { unknown?: Unknown[] }
> &
  Variants<A, "out">;
type TableIn<H extends Fields, A extends Attributes> = Readable<
  FieldsIn<H> & { [K in PlainKeys<A>]?: InOf<A[K]["wire"]> | undefined } & { unknown?: readonly Unknown[] | undefined }
> &
  Variants<A, "in">;

type Readable<T> = { [K in keyof T]: T[K] };
type SelectedKeys<A extends Attributes> = {
  [K in keyof A]: A[K]["wire"] extends Selected<string, Readonly<Record<string, AnyWire>>> ? K : never;
}[keyof A];
type PlainKeys<A extends Attributes> = Exclude<keyof A, SelectedKeys<A>>;

/** The intersection, over all selected attributes, of the union of each one's kinds. */
type Variants<A extends Attributes, Side extends "in" | "out"> = [SelectedKeys<A>] extends [never]
  ? unknown
  : {
        [K in SelectedKeys<A>]: (_: Variant<K & string, A[K]["wire"], Side>) => void;
      }[SelectedKeys<A>] extends (_: infer All) => void
    ? All
    : never;

type Variant<Key extends string, W, Side extends "in" | "out"> =
  W extends Selected<infer By, infer Kinds>
    ?
        | {
            [Kind in keyof Kinds]: { [k in By]: Kind } & (Side extends "in"
              ? { [k in Key]?: InOf<Kinds[Kind]> | undefined }
              : { [k in Key]?: OutOf<Kinds[Kind]> });
          }[keyof Kinds]
        | { [k in Key]?: never }
    : never;

/**
 * Declares a table. Attributes are encoded in the order in which the value names them: so a decoded message is encoded to the same bytes,
 * and an interpreter does not have to look for each of forty rows in a value that has five.
 *
 * @param declaration.source The kernel's header file, struct and prefix.
 * @param declaration.header The struct before the attributes; a nest has none.
 */
export function message<const A extends Attributes, const H extends Fields = Record<never, never>>(declaration: {
  source: string;
  header?: H;
  attributes: A;
}): Table<H, A> {
  const header = struct((declaration.header ?? {}) as H);
  return tableOf(declaration.source, header, declaration.attributes, { keepsUnknown: true });
}

/**
 * Returns a table with only some of the rows, for answers of which few attributes are needed: decoding skips the others, which saves most
 * of the work for a link with its eighty attributes.
 */
export function only<H extends Fields, A extends Attributes, const K extends keyof A>(
  { source, header, attributes }: Table<H, A>,
  keys: readonly K[],
): Table<H, Pick<A, K>> {
  const picked = Object.fromEntries(keys.map((key) => [key, attributes[key]])) as unknown as Pick<A, K>;
  return tableOf(source, header, picked, { keepsUnknown: false });
}

function tableOf<H extends Fields, A extends Attributes>(
  source: string,
  header: Struct<H>,
  attributes: A,
  { keepsUnknown }: { keepsUnknown: boolean },
): Table<H, A> {
  const keys = keysByType(attributes);
  const wanted = keepsUnknown ? undefined : Uint8Array.from(keys, (key) => (key === undefined ? 0 : 1));
  const rows: Rows = { attributes, keys, wanted, header };

  return {
    source,
    header,
    attributes,
    write(out, value) {
      if (header.size > 0) header.write(out, value as FieldsIn<H>, {});
      writeAttributes(out, value as Siblings, rows);
    },
    read(input, from, to) {
      const record: Record<string, unknown> = {};
      if (header.size > 0) header.readInto(record, input, from, to);
      readAttributes(record, input, attributesFrom(header, from), to, rows);
      return record as TableOut<H, A>;
    },
    text: (value) => tableText(value as Siblings, rows),
    locate: (input, from, to, offset) => locateAttribute(input, attributesFrom(header, from), to, offset, rows),
  };
}

/** The internal form of a table. Its rows are the declared objects, not copies: tables take up much of the program's memory. */
interface Rows {
  attributes: Attributes;
  /** The key of each type of attribute. */
  keys: readonly (string | undefined)[];
  /** 1 for each type of attribute with a row; undefined where those without are kept, as `unknown`. */
  wanted: Uint8Array | undefined;
  header: Struct<Fields>;
}

function keysByType(attributes: Attributes): (string | undefined)[] {
  const types = Object.values(attributes).map(({ type }) => type);
  const keys: (string | undefined)[] = new Array(Math.max(-1, ...types) + 1).fill(undefined);
  for (const [key, { type }] of Object.entries(attributes)) keys[type] = key;
  return keys;
}

function attributesFrom(header: { size: number }, from: number): number {
  return from + ((header.size + 3) & ~3);
}

/** Encodes the body of a message: family header and attributes, without nlmsghdr. */
export function encode<In>(table: Wire<unknown, In>, value: In): Uint8Array {
  const out = new Writer();
  table.write(out, value, {});
  return out.bytes.subarray(0, out.at);
}

/**
 * Decodes the body of a message.
 *
 * @throws WireError It is shorter than its header, an attribute is longer than what is around it or shorter than its wire type.
 */
export function decode<Out>(table: Wire<Out, never>, body: Uint8Array): Out {
  return table.read(new Input(body), 0, body.length, {});
}

/** Returns the kernel's names of the attributes at `offset` of a body, "IFLA_LINKINFO > IFLA_INFO_DATA"; undefined when there is none. */
export function attributeAt(table: AnyWire, body: Uint8Array, offset: number): string | undefined {
  const names = table.locate?.(new Input(body), 0, body.length, offset, {}) ?? [];
  return names.length === 0 ? undefined : names.join(" > ");
}

function writeAttributes(out: Writer, value: Siblings, { attributes, header }: Rows): void {
  let row: Attribute<AnyWire> | undefined;
  try {
    for (const key in value) {
      const item = value[key];
      if (item === undefined) continue;
      row = attributes[key];
      if (row === undefined) {
        if (key in header.fields || key === "unknown") continue;
        throw new WireError(`no attribute "${key}"`);
      }
      const { wire } = row;
      if (wire.repeated) {
        for (const element of item as readonly unknown[]) writeAttribute(out, row, elementOf(row), element, value);
      } else if (item !== false || !wire.presence) {
        writeAttribute(out, row, wire, item, value);
      }
    }
  } catch (error) {
    throw row === undefined ? error : within(row.name, error);
  }
  if (value["unknown"] !== undefined) writeUnknown(out, value["unknown"] as readonly Unknown[]);
}

/** Returns the wire type of one element of a repeated attribute. */
const elementOf = (row: Attribute<AnyWire>): AnyWire => (row.wire as unknown as Repeated<unknown, unknown>).element;

function writeAttribute(out: Writer, row: Attribute<AnyWire>, wire: AnyWire, item: unknown, value: Siblings): void {
  const start = out.begin(row.type | (row.wire.typeFlags ?? 0));
  wire.write(out, item, value);
  out.end(start);
}

function writeUnknown(out: Writer, unknown: readonly Unknown[]): void {
  for (const { type, bytes } of unknown) {
    const start = out.begin(type);
    out.room(bytes.length);
    out.bytes.set(bytes, out.at);
    out.at += bytes.length;
    out.end(start);
  }
}

function readAttributes(record: Record<string, unknown>, input: Input, from: number, to: number, rows: Rows): void {
  if (rows.wanted === undefined) readAll(record, input, from, to, rows);
  else readWanted(record, input, findAttributes(input.bytes, from, to, rows.wanted), to, rows);
}

function readWanted(
  record: Record<string, unknown>,
  input: Input,
  starts: readonly number[],
  to: number,
  { attributes, keys }: Rows,
): void {
  const { bytes } = input;
  for (let i = 0; i < starts.length; i++) {
    const at = starts[i] as number;
    const end = attributeEnd(input, at, to);
    const type = ((bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8)) & NLA_TYPE_MASK;
    const key = keys[type] as string; // of an unwanted one with a wrong length, attributeEnd throws
    const value = readRow(key, attributes[key] as Attribute<AnyWire>, record, input, at + 4, end);
    if (value !== undefined) record[key] = value;
  }
}

/** Reads the attributes, and keeps those without a row. Where most are wanted, a look at each here costs less than asking the host. */
function readAll(
  record: Record<string, unknown>,
  input: Input,
  from: number,
  to: number,
  { attributes, keys }: Rows,
): void {
  const { view } = input;
  for (let at = from; to - at >= 4; ) {
    const end = at + view.getUint16(at, hostIsLittle);
    if (end < at + 4 || end > to) attributeEnd(input, at, to); // throws; called for that alone
    const key = keys[view.getUint16(at + 2, hostIsLittle) & NLA_TYPE_MASK];
    const row = key === undefined ? undefined : attributes[key];
    const value = key === undefined || row === undefined ? undefined : readRow(key, row, record, input, at + 4, end);
    if (key !== undefined && value !== undefined) record[key] = value;
    else keepUnknown(record, input, at, end);
    at = (end + 3) & ~3;
  }
}

function keepUnknown(record: Record<string, unknown>, input: Input, at: number, end: number): void {
  record["unknown"] ??= [];
  (record["unknown"] as Unknown[]).push({ type: attributeType(input, at), bytes: input.bytes.slice(at + 4, end) });
}

function readRow(
  key: string,
  row: Attribute<AnyWire>,
  record: Record<string, unknown>,
  input: Input,
  from: number,
  to: number,
): unknown {
  try {
    const value = row.wire.read(input, from, to, record);
    const before = row.wire.repeated ? (record[key] as unknown[] | undefined) : undefined;
    if (before === undefined) return value;
    before.push(...(value as unknown[]));
    return before;
  } catch (error) {
    throw within(row.name, error);
  }
}

function locateAttribute(input: Input, from: number, to: number, offset: number, { attributes, keys }: Rows): string[] {
  const record: Record<string, unknown> = {};
  for (let at = from; to - at >= 4; ) {
    const end = attributeEnd(input, at, to);
    const type = attributeType(input, at) & NLA_TYPE_MASK;
    const key = keys[type];
    const row = key === undefined ? undefined : attributes[key];
    if (offset >= at && offset < end) {
      return [row?.name ?? `type ${type}`, ...(row?.wire.locate?.(input, at + 4, end, offset, record) ?? [])];
    }
    if (key !== undefined && row !== undefined) record[key] = readRow(key, row, record, input, at + 4, end); // a later one may depend on it
    at = (end + 3) & ~3;
  }
  return [];
}

function tableText(value: Siblings, { attributes, header }: Rows): string {
  const parts: string[] = [];
  for (const [key, item] of Object.entries(value)) {
    const wire = attributes[key]?.wire ?? header.fields[key];
    if (wire !== undefined) parts.push(`${key}: ${wire.text(item, value)}`);
  }
  for (const { type, bytes } of (value["unknown"] as readonly Unknown[] | undefined) ?? []) {
    parts.push(`type ${type & NLA_TYPE_MASK}: ${bytes.length} bytes`);
  }
  return `{${parts.join(", ")}}`;
}
