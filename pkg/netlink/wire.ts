// Wire types: how a value is encoded in the payload of an attribute or in the field of a struct.
// Source: linux/netlink.h (struct nlattr, NLA_F_*), and the C types of the headers that the tables name.
//
// A wire type appends to one growing buffer and reads from one received buffer. No array is made per attribute, since plugins encode in an
// interpreter, in a program that runs for 4 ms. The byte order is that of the host, unless the wire type's name ends in `be`.
import { decode, encodeInto } from "../sys/text.ts";

export const NLA_F_NESTED = 0x8000;
export const NLA_F_NET_BYTEORDER = 0x4000;
export const NLA_TYPE_MASK = 0x3fff;
const NLA_HDRLEN = 4;
const NLA_MAX = 0xffff;

/** Bytes that do not fit their table, or a value that its wire type cannot hold: "IFLA_MTU: 2 bytes, needs 4". */
export class WireError extends Error {
  override name = "WireError";
  readonly detail: string;
  /** The kernel's names of the enclosing attributes, outermost first. */
  readonly path: readonly string[];

  constructor(detail: string, path: readonly string[] = []) {
    super(path.length === 0 ? detail : `${path.join(" > ")}: ${detail}`);
    this.detail = detail;
    this.path = path;
  }
}

/** Returns a WireError with the name of the enclosing attribute added; any other error is returned unchanged. */
export function within(name: string, error: unknown): unknown {
  return error instanceof WireError ? new WireError(error.detail, [name, ...error.path]) : error;
}

/** The space behind what was asked for: for the header and the padding of an attribute. */
const SPARE = 64;

/** The growing buffer of a message. Bytes beyond `at` are zero, so padding is skipped and not written. */
export class Writer {
  bytes: Uint8Array;
  view: DataView;
  /** The same memory, for the headers of attributes, which begin at multiples of 4. */
  private halves: Uint16Array;
  at = 0;
  private readonly size: number;

  /** @param size The bytes to begin with, an even number. */
  constructor(size = 512) {
    this.size = size;
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
    this.halves = new Uint16Array(this.bytes.buffer);
  }

  /** Begins a new message in the same memory; what was written before is not valid any more. A buffer that has grown is not kept. */
  restart(): void {
    const end = this.at;
    this.at = 0;
    if (this.bytes.length === this.size) this.bytes.fill(0, 0, end);
    else this.use(new Uint8Array(this.size));
  }

  private use(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
    this.halves = new Uint16Array(bytes.buffer);
  }

  /** Ensures space for `size` bytes from `at`, and for the header and padding of one attribute after them. */
  room(size: number): void {
    if (this.at + size + SPARE > this.bytes.length) this.grow(size);
  }

  private grow(size: number): void {
    const bytes = new Uint8Array(2 * (this.at + size + SPARE));
    bytes.set(this.bytes);
    this.use(bytes);
  }

  /**
   * Begins an attribute, with space for a number; longer wire types call `room`. `type` includes its flags. Returns the argument of `end`.
   */
  begin(type: number): number {
    const start = this.at;
    if (start + 8 + SPARE > this.bytes.length) this.grow(8);
    this.halves[(start >> 1) + 1] = type;
    this.at = start + NLA_HDRLEN;
    return start;
  }

  /** Ends the attribute: writes its length, which does not include the padding that follows. */
  end(start: number): void {
    const length = this.at - start;
    if (length > NLA_MAX) throw new WireError(`${length} bytes, an attribute holds at most ${NLA_MAX}`);
    this.halves[start >> 1] = length;
    this.at = (this.at + 3) & ~3;
  }
}

/** Received bytes. */
export class Input {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

/** The other attributes of the same table by their keys, as far as they are known. */
export type Siblings = Readonly<Record<string, unknown>>;

/**
 * The encoding of a value in a payload. `Out` is the decoded type and `In` the type to encode; they differ where headers may be left out.
 * A wire type also gives the flags of the attribute's type, and can depend on the other attributes of the table, the siblings.
 */
export interface Wire<Out, In = Out> {
  /** NLA_F_NESTED or NLA_F_NET_BYTEORDER, which are set in the type of the attribute. */
  readonly typeFlags?: number;
  /** Whether there is one attribute for each element of the value. */
  readonly repeated?: boolean;
  /** Whether the presence of the attribute is its value: for false there is no attribute. */
  readonly presence?: boolean;
  write(out: Writer, value: In, siblings: Siblings): void;
  /** Decodes the payload `[from..to)`; returns undefined when the siblings do not tell its form. */
  read(input: Input, from: number, to: number, siblings: Siblings): Out;
  /** Formats the value for the trace. */
  text(value: Out, siblings: Siblings): string;
  /** Returns the names of the attributes around `offset`, outermost first, to name the place of an error of the kernel. */
  locate?(input: Input, from: number, to: number, offset: number, siblings: Siblings): string[];
}

/** A wire type of fixed size: it can be a field of a struct and an element of an array. */
export interface Fixed<Out, In = Out> extends Wire<Out, In> {
  readonly size: number;
  readonly align: number;
}

// biome-ignore lint/suspicious/noExplicitAny: type plumbing
export type AnyWire = Wire<any, any>;
// biome-ignore lint/suspicious/noExplicitAny: type plumbing
export type AnyFixed = Fixed<any, any>;
export type OutOf<W> = W extends Wire<infer Out, infer _> ? Out : never;
export type InOf<W> = W extends Wire<infer _, infer In> ? In : never;

export const hostIsLittle = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

// --- Numbers -----------------------------------------------------------------------------------------------------------------------------

type Getter = "getUint8" | "getUint16" | "getInt16" | "getUint32" | "getInt32";
type Setter = "setUint8" | "setUint16" | "setInt16" | "setUint32" | "setInt32";

interface NumberForm {
  size: number;
  min: number;
  max: number;
  /** The methods of DataView; called by name, since a function around each would take the interpreter as long again. */
  get: Getter;
  set: Setter;
  little?: boolean;
}

function integer({ size, min, max, set, get, little = hostIsLittle }: NumberForm): Fixed<number> {
  return {
    size,
    align: size,
    write(out, value) {
      if (!(value >= min && value <= max)) throw new WireError(`${value} is not in ${min}..${max}`);
      out.view[set](out.at, value, little);
      out.at += size;
    },
    read(input, from, to) {
      if (to - from < size) throw tooShort(size, to - from);
      return input.view[get](from, little);
    },
    text: String,
  };
}

function needSize(wanted: number, found: number): void {
  if (found < wanted) throw tooShort(wanted, found);
}

const tooShort = (wanted: number, found: number) => new WireError(`${found} bytes, needs ${wanted}`);

const forms = {
  u8: { size: 1, min: 0, max: 0xff, get: "getUint8", set: "setUint8" },
  u16: { size: 2, min: 0, max: 0xffff, get: "getUint16", set: "setUint16" },
  s16: { size: 2, min: -0x8000, max: 0x7fff, get: "getInt16", set: "setInt16" },
  u32: { size: 4, min: 0, max: 0xffffffff, get: "getUint32", set: "setUint32" },
  s32: { size: 4, min: -0x80000000, max: 0x7fffffff, get: "getInt32", set: "setInt32" },
} as const;

export const u8 = integer(forms.u8);
export const u16 = integer(forms.u16);
export const u16be = integer({ ...forms.u16, little: false });
export const s16 = integer(forms.s16);
export const u32 = integer(forms.u32);
export const u32be = integer({ ...forms.u32, little: false });
export const s32 = integer(forms.s32);
export const s32be = integer({ ...forms.s32, little: false });
export const u64 = integer64(hostIsLittle);
export const u64be = integer64(false);

function integer64(little: boolean): Fixed<bigint> {
  return {
    size: 8,
    align: 8,
    write(out, value) {
      if (value < 0n || value > 0xffffffffffffffffn) throw new WireError(`${value} is not in 0..2^64-1`);
      out.view.setBigUint64(out.at, value, little);
      out.at += 8;
    },
    read(input, from, to) {
      needSize(8, to - from);
      return input.view.getBigUint64(from, little);
    },
    text: String,
  };
}

/** A boolean in one byte. */
export const bool: Fixed<boolean> = {
  size: 1,
  align: 1,
  write(out, value) {
    out.bytes[out.at++] = value ? 1 : 0;
  },
  read(input, from, to) {
    needSize(1, to - from);
    return input.bytes[from] !== 0;
  },
  text: String,
};

/** An attribute whose presence is its value. Its length is 0; for false it is left out. */
export const flag: Wire<true, boolean> = {
  presence: true,
  write() {},
  read: () => true,
  text: String,
};

/** A number whose values have names. These are used in the trace only: the decoded value is a number. */
export function named(wire: Fixed<number>, names: Readonly<Record<string, number>>): Fixed<number> {
  const byNumber = new Map(Object.entries(names).map(([name, number]) => [number, name]));
  return { ...wire, text: (value) => byNumber.get(value) ?? String(value) };
}

// --- Bytes and text ----------------------------------------------------------------------------------------------------------------------

function bytesAs(text: (value: Uint8Array) => string): Wire<Uint8Array> {
  return {
    write(out, value) {
      out.room(value.length);
      out.bytes.set(value, out.at);
      out.at += value.length;
    },
    read: (input, from, to) => input.bytes.slice(from, to), // a copy: the value outlives the receive buffer
    text,
  };
}

/** Bytes of any length. */
export const bytes = bytesAs((value) => (value.length === 0 ? "empty" : `0x${hex(value, "")}`));

/** A hardware address. */
export const mac = bytesAs((value) => hex(value, ":"));

/** An IPv4 address in 4 bytes or an IPv6 address in 16. */
export const ip = bytesAs((value) => (value.length === 16 ? hexPairs(value) : value.join(".")));

function hex(value: Uint8Array, separator: string): string {
  return Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join(separator);
}

function hexPairs(value: Uint8Array): string {
  return hex(value, "").replace(/(....)(?!$)/g, "$1:");
}

/** Bytes of a fixed length, as a field of a struct. */
export function fixedBytes(size: number): Fixed<Uint8Array> {
  return {
    size,
    align: 1,
    write(out, value) {
      if (value.length !== size) throw new WireError(`${value.length} bytes, needs ${size}`);
      out.room(size);
      out.bytes.set(value, out.at);
      out.at += size;
    },
    read(input, from, to) {
      needSize(size, to - from);
      return input.bytes.slice(from, from + size);
    },
    text: (value) => bytes.text(value, {}),
  };
}

function textWire({ terminated }: { terminated: boolean }): Wire<string> {
  return {
    write(out, value) {
      out.room(3 * value.length + 1);
      out.at = encodeInto(out.bytes, out.at, value);
      if (terminated) out.at++;
    },
    read(input, from, to) {
      const nul = input.bytes.indexOf(0, from);
      return decode(input.bytes, from, nul >= 0 && nul < to ? nul : to);
    },
    text: (value) => JSON.stringify(value),
  };
}

/** Text that is written with a NUL at the end and read with or without one. */
export const cstring = textWire({ terminated: true });

/** Text that is written without a NUL at the end and read with or without one. */
export const text = textWire({ terminated: false });

// --- Structs and arrays ------------------------------------------------------------------------------------------------------------------

/** Unused bytes of a struct: zero when written, ignored when read, absent from the value. */
export interface Reserved extends Fixed<undefined> {
  readonly reserved: true;
}

export function reserved(size: number): Reserved {
  return {
    reserved: true,
    size,
    align: 1,
    write(out) {
      out.at += size;
    },
    read: () => undefined,
    text: () => "",
  };
}

export type Fields = Readonly<Record<string, AnyFixed>>;
type FieldNames<F> = { [K in keyof F]: F[K] extends Reserved ? never : K }[keyof F];
export type FieldsOut<F> = { [K in FieldNames<F>]: OutOf<F[K]> };
export type FieldsIn<F> = { [K in FieldNames<F>]?: InOf<F[K]> | undefined };

export interface Struct<F extends Fields> extends Fixed<FieldsOut<F>, FieldsIn<F>> {
  readonly fields: F;
  /** Decodes the fields into a record that has other entries too. */
  readInto(record: Record<string, unknown>, input: Input, from: number, to: number): void;
}

/** A C struct, aligned as by the compiler. Fields that are not given are encoded as zero. */
export function struct<const F extends Fields>(fields: F): Struct<F> {
  const { members, size, align } = layOut(fields);

  function readInto(record: Record<string, unknown>, input: Input, from: number, to: number): void {
    needSize(size, to - from);
    for (let i = 0; i < members.length; i++) {
      const { key, wire, offset } = members[i] as Member;
      record[key] = wire.read(input, from + offset, from + offset + wire.size, record);
    }
  }

  return {
    fields,
    size,
    align,
    readInto,
    write(out, value) {
      out.room(size);
      const start = out.at;
      const given = value as Siblings;
      let key = "";
      try {
        for (let i = 0; i < members.length; i++) {
          const { wire, offset } = members[i] as Member;
          key = (members[i] as Member).key;
          const member = given[key];
          if (member === undefined) continue;
          out.at = start + offset;
          wire.write(out, member, given);
        }
      } catch (error) {
        throw within(key, error);
      }
      out.at = start + size;
    },
    read(input, from, to) {
      const record: Record<string, unknown> = {};
      readInto(record, input, from, to);
      return record as FieldsOut<F>;
    },
    text(value) {
      const given = value as Siblings;
      return `{${members.map(({ key, wire }) => `${key}: ${wire.text(given[key], given)}`).join(", ")}}`;
    },
  };
}

interface Member {
  key: string;
  wire: AnyFixed;
  offset: number;
}

function layOut(fields: Fields): { members: Member[]; size: number; align: number } {
  const members: Member[] = [];
  let end = 0;
  let align = 1;
  for (const [key, wire] of Object.entries(fields)) {
    const offset = alignUp(end, wire.align);
    if (!("reserved" in wire)) members.push({ key, wire, offset });
    end = offset + wire.size;
    align = Math.max(align, wire.align);
  }
  return { members, size: alignUp(end, align), align };
}

function alignUp(offset: number, align: number): number {
  return Math.ceil(offset / align) * align;
}

/** An array without padding between elements; decoding reads as many as the payload has. */
export function array<Out, In>(element: Fixed<Out, In>): Wire<Out[], readonly In[]> {
  return {
    write(out, value, siblings) {
      out.room(value.length * element.size);
      for (const item of value) element.write(out, item, siblings);
    },
    read(input, from, to, siblings) {
      const items: Out[] = [];
      for (let at = from; at + element.size <= to; at += element.size) {
        items.push(element.read(input, at, at + element.size, siblings));
      }
      return items;
    },
    text: (value, siblings) => `[${value.map((item) => element.text(item, siblings)).join(", ")}]`,
  };
}

/**
 * A struct with a flexible array member: decoding reads as many elements as the payload has.
 *
 * @param count The field of the struct that has the number of elements. Encoding sets it, whatever the value has there.
 */
export function structWithArray<const F extends Fields, const K extends string, Out, In>(
  head: Struct<F>,
  { key, element, count }: { key: K; element: Fixed<Out, In>; count: keyof FieldsIn<F> & string },
): Wire<FieldsOut<F> & { [k in K]: Out[] }, FieldsIn<F> & { [k in K]: readonly In[] }> {
  const tail = array(element);
  const tailOffset = alignUp(head.size, element.align);
  return {
    write(out, value, siblings) {
      const items = value[key];
      const start = out.at;
      head.write(out, { ...value, [count]: items.length }, siblings);
      out.at = start + tailOffset;
      tail.write(out, items, siblings);
    },
    read(input, from, to, siblings) {
      const record: Record<string, unknown> = {};
      head.readInto(record, input, from, to);
      record[key] = tail.read(input, from + tailOffset, to, siblings);
      return record as FieldsOut<F> & { [k in K]: Out[] };
    },
    text: (value, siblings) =>
      `{${head.text(value, siblings).slice(1, -1)}, ${key}: ${tail.text(value[key], siblings)}}`,
  };
}

// --- Attributes in attributes ------------------------------------------------------------------------------------------------------------

/** Sets NLA_F_NESTED, which all nests should have that were added to the kernel after the flag. For tables, lists and variants. */
export function nested<W extends AnyWire>(wire: W): W {
  return { ...wire, typeFlags: NLA_F_NESTED };
}

/** Sets NLA_F_NET_BYTEORDER only; the byte order itself comes from the wire type: `netByteOrder(u32be)`. */
export function netByteOrder<W extends AnyWire>(wire: W): W {
  return { ...wire, typeFlags: NLA_F_NET_BYTEORDER };
}

/** An attribute that occurs once per element. */
export interface Repeated<Out, In> extends Wire<Out[], readonly In[]> {
  readonly repeated: true;
  readonly element: Wire<Out, In>;
}

export function repeated<Out, In>(element: Wire<Out, In>): Repeated<Out, In> {
  return {
    ...(element.typeFlags === undefined ? {} : { typeFlags: element.typeFlags }),
    repeated: true,
    element,
    write() {
      throw new WireError("written element by element, by its table");
    },
    read: (input, from, to, siblings) => [element.read(input, from, to, siblings)],
    text: (value, siblings) => `[${value.map((item) => element.text(item, siblings)).join(", ")}]`,
    ...(element.locate === undefined ? {} : { locate: element.locate }),
  };
}

/** A nest of elements that all have one type. Decoding accepts elements of any type. */
export function list<Out, In>(type: number, name: string, element: Wire<Out, In>): Wire<Out[], readonly In[]> {
  return elements(
    () => type,
    () => name,
    element,
  );
}

/** A nest of elements whose type is their position in it, from 1. `name` is used in errors. */
export function numbered<Out, In>(name: string, element: Wire<Out, In>): Wire<Out[], readonly In[]> {
  return elements(
    (index) => index + 1,
    () => name,
    element,
  );
}

function elements<Out, In>(
  typeOf: (index: number) => number,
  nameOf: (index: number) => string,
  element: Wire<Out, In>,
): Wire<Out[], readonly In[]> {
  const flags = element.typeFlags ?? 0;
  return {
    write(out, value, siblings) {
      for (let i = 0; i < value.length; i++) {
        const start = out.begin(typeOf(i) | flags);
        try {
          element.write(out, value[i] as In, siblings);
          out.end(start);
        } catch (error) {
          throw within(`${nameOf(i)}[${i}]`, error);
        }
      }
    },
    read(input, from, to, siblings) {
      const items: Out[] = [];
      for (let at = from; to - at >= NLA_HDRLEN; ) {
        const end = attributeEnd(input, at, to);
        items.push(element.read(input, at + NLA_HDRLEN, end, siblings));
        at = (end + 3) & ~3;
      }
      return items;
    },
    text: (value, siblings) => `[${value.map((item) => element.text(item, siblings)).join(", ")}]`,
    locate(input, from, to, offset, siblings) {
      for (let at = from, i = 0; to - at >= NLA_HDRLEN; i++) {
        const end = attributeEnd(input, at, to);
        if (offset >= at && offset < end) {
          return [`${nameOf(i)}[${i}]`, ...(element.locate?.(input, at + NLA_HDRLEN, end, offset, siblings) ?? [])];
        }
        at = (end + 3) & ~3;
      }
      return [];
    },
  };
}

/** Returns the offset where the attribute at `at` ends, without its padding. */
export function attributeEnd(input: Input, at: number, to: number): number {
  const length = input.view.getUint16(at, hostIsLittle);
  if (length < NLA_HDRLEN || at + length > to) {
    throw new WireError(`an attribute of ${length} bytes where ${to - at} are left`);
  }
  return at + length;
}

/** Returns the type of the attribute at `at`, flags included. */
export function attributeType(input: Input, at: number): number {
  return input.view.getUint16(at + 2, hostIsLittle);
}

/**
 * A payload whose form depends on the sibling attribute `by`, which precedes it. For kinds without a table the bytes are kept in `unknown`.
 */
export interface Selected<By extends string, Kinds extends Readonly<Record<string, AnyWire>>> extends Wire<unknown> {
  readonly by: By;
  readonly kinds: Kinds;
}

export function selected<const By extends string, const Kinds extends Readonly<Record<string, AnyWire>>>(
  by: By,
  kinds: Kinds,
): Selected<By, Kinds> {
  const tables = new Map<unknown, AnyWire>(Object.entries(kinds));
  return {
    by,
    kinds,
    write(out, value, siblings) {
      const table = tables.get(siblings[by]);
      if (table === undefined) throw new WireError(`no table for ${by} "${siblings[by]}"`);
      table.write(out, value, siblings);
    },
    read: (input, from, to, siblings) => tables.get(siblings[by])?.read(input, from, to, siblings),
    text: (value, siblings) => tables.get(siblings[by])?.text(value, siblings) ?? "",
    locate: (input, from, to, offset, siblings) =>
      tables.get(siblings[by])?.locate?.(input, from, to, offset, siblings) ?? [],
  };
}
