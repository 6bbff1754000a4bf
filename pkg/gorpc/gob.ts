/**
 * Encodes and decodes Go's encoding/gob: a stream of messages, each with a value or the description of a type of later values. Pure.
 *
 * Supports structs of strings, integers, bytes and lists. The decoder uses the received descriptions and finds fields by their names, so it
 * does not depend on the program, or the version of it, that sends; floats, complex numbers and interfaces are refused.
 *
 * @see https://pkg.go.dev/encoding/gob
 */
import { decode, encode } from "../sys/text.ts";

export type GobValue = boolean | number | string | Uint8Array | readonly GobValue[] | GobStruct;
export type GobStruct = { readonly [field: string]: GobValue };

/** The type of a value to encode. In a struct, absent, zero and empty fields are omitted, as in Go. */
export type GobType = Basic | { readonly list: GobType } | StructType;
export interface StructType {
  readonly name: string;
  readonly fields: readonly (readonly [name: string, type: GobType])[];
}

/** The IDs of the types that need no description. */
const basics = { bool: 1, int: 2, uint: 3, bytes: 5, string: 6 } as const;
type Basic = keyof typeof basics;

/** The bytes are not valid gob, or exceed a limit. */
export class GobError extends Error {
  override name = "GobError";
}

/** The largest accepted message, in bytes. */
const LONGEST_MESSAGE = 16 << 20;
/** The deepest accepted nesting of types. */
const DEEPEST = 32;

// --- The description of types, itself in gob: wireType of encoding/gob/type.go -----------------------------------------------------------

const WIRE_TYPE = 16;
const commonType: StructType = {
  name: "CommonType",
  fields: [
    ["Name", "string"],
    ["Id", "int"],
  ],
};
const listType: StructType = {
  name: "sliceType",
  fields: [
    ["CommonType", commonType],
    ["Elem", "int"],
  ],
};
const arrayType: StructType = {
  name: "arrayType",
  fields: [
    ["CommonType", commonType],
    ["Elem", "int"],
    ["Len", "int"],
  ],
};
const mapType: StructType = {
  name: "mapType",
  fields: [
    ["CommonType", commonType],
    ["Key", "int"],
    ["Elem", "int"],
  ],
};
const fieldType: StructType = {
  name: "fieldType",
  fields: [
    ["Name", "string"],
    ["Id", "int"],
  ],
};
const structType: StructType = {
  name: "structType",
  fields: [
    ["CommonType", commonType],
    ["Field", { list: fieldType }],
  ],
};
const opaqueType: StructType = { name: "gobEncoderType", fields: [["CommonType", commonType]] };
const wireType: StructType = {
  name: "wireType",
  fields: [
    ["ArrayT", arrayType],
    ["SliceT", listType],
    ["StructT", structType],
    ["MapT", mapType],
    ["GobEncoderT", opaqueType],
    ["BinaryMarshalerT", opaqueType],
    ["TextMarshalerT", opaqueType],
  ],
};

// --- Writing ----------------------------------------------------------------------------------------------------------------------------

/** The first ID of described types, as in Go. */
const FIRST_ID = 65;

/** Encodes the values of one direction of a connection: a type is described before its first value. */
export class GobWriter {
  readonly #ids = new Map<GobType, number>();

  /** Returns the messages that transmit a struct. */
  write(type: StructType, value: GobStruct): Uint8Array {
    const out: number[] = [];
    const id = this.#describe(type, out);
    const body: number[] = [];
    putInt(body, id);
    putStruct(body, type, value);
    putMessage(out, body);
    return Uint8Array.from(out);
  }

  #describe(type: GobType, out: number[]): number {
    if (typeof type === "string") return basics[type];
    const known = this.#ids.get(type);
    if (known !== undefined) return known;
    const id = FIRST_ID + this.#ids.size;
    this.#ids.set(type, id);
    const description = this.#descriptionOf(type, id, out);
    const body: number[] = [];
    putInt(body, -id);
    putStruct(body, wireType, description);
    putMessage(out, body);
    return id;
  }

  #descriptionOf(type: Exclude<GobType, Basic>, Id: number, out: number[]): GobStruct {
    if ("list" in type) return { SliceT: { CommonType: { Id }, Elem: this.#describe(type.list, out) } };
    const Field = type.fields.map(([Name, field]) => ({ Name, Id: this.#describe(field, out) }));
    return { StructT: { CommonType: { Name: type.name, Id }, Field } };
  }
}

function putMessage(out: number[], body: readonly number[]): void {
  putUint(out, body.length);
  for (const byte of body) out.push(byte);
}

function putStruct(out: number[], { fields }: StructType, value: GobStruct): void {
  let last = -1;
  fields.forEach(([name, type], number) => {
    const field = value[name];
    if (field === undefined || isZero(field)) return;
    putUint(out, number - last);
    last = number;
    putValue(out, type, field);
  });
  out.push(0);
}

const isZero = (value: GobValue): boolean =>
  value === 0 ||
  value === "" ||
  value === false ||
  ((value instanceof Uint8Array || Array.isArray(value)) && value.length === 0);

function putValue(out: number[], type: GobType, value: GobValue): void {
  if (type === "int" && typeof value === "number") putInt(out, value);
  else if (type === "uint" && typeof value === "number") putUint(out, value);
  else if (type === "bool") putUint(out, value === true ? 1 : 0);
  else if (type === "string" && typeof value === "string") putBytes(out, encode(value));
  else if (type === "bytes" && value instanceof Uint8Array) putBytes(out, value);
  else if (typeof type === "object" && "list" in type && Array.isArray(value)) {
    putUint(out, value.length);
    for (const element of value) putValue(out, type.list, element);
  } else if (typeof type === "object" && "fields" in type) putStruct(out, type, value as GobStruct);
  else throw new GobError(`${typeof value} is no ${JSON.stringify(type)}`);
}

function putBytes(out: number[], bytes: Uint8Array): void {
  putUint(out, bytes.length);
  for (const byte of bytes) out.push(byte);
}

/** Encodes an unsigned integer: below 128 as one byte; else the negated number of bytes, then these, the highest first. */
function putUint(out: number[], value: number): void {
  if (value < 128) {
    out.push(value);
    return;
  }
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  out.push(256 - bytes.length, ...bytes);
}

/** Encodes a signed integer: the sign is the lowest bit, and negative numbers are complemented. */
const putInt = (out: number[], value: number): void => putUint(out, value < 0 ? -(value + 1) * 2 + 1 : value * 2);

// --- Reading ----------------------------------------------------------------------------------------------------------------------------

type Known =
  | { kind: Basic | "opaque" }
  | { kind: "list"; element: number }
  | { kind: "map"; key: number; element: number }
  | { kind: "struct"; fields: readonly { name: string; id: number }[] };

/** Decodes the values of one direction from bytes in pieces of any size. */
export class GobReader {
  #bytes = new Uint8Array(0);
  readonly #types = new Map<number, Known>(Object.entries(basics).map(([kind, id]) => [id, { kind: kind as Basic }]));

  constructor() {
    this.#learnBuiltIn(wireType, WIRE_TYPE);
  }

  push(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#bytes.length + bytes.length);
    all.set(this.#bytes);
    all.set(bytes, this.#bytes.length);
    this.#bytes = all;
  }

  /** Returns the next value; undefined: it is not complete yet. @throws GobError */
  next(): GobStruct | undefined {
    for (;;) {
      const message = this.#nextMessage();
      if (message === undefined) return undefined;
      const value = this.#read(message);
      if (value !== undefined) return value;
    }
  }

  #nextMessage(): Cursor | undefined {
    const header = new Cursor(this.#bytes);
    if (!header.hasUint()) return undefined;
    const length = header.uint();
    if (length > LONGEST_MESSAGE) throw new GobError(`a message of ${length} bytes`);
    if (this.#bytes.length < header.at + length) return undefined;
    const message = new Cursor(this.#bytes.subarray(header.at, header.at + length));
    this.#bytes = this.#bytes.slice(header.at + length);
    return message;
  }

  /** Decodes a message. @returns undefined: it described a type */
  #read(message: Cursor): GobStruct | undefined {
    const id = message.int();
    if (id < 0) {
      this.#learn(-id, this.#struct(message, WIRE_TYPE, 0));
      return undefined;
    }
    return this.#struct(message, id, 0);
  }

  #struct(cursor: Cursor, id: number, depth: number): GobStruct {
    const type = this.#types.get(id);
    if (type?.kind !== "struct") throw new GobError(`type ${id} is no struct that was described`);
    return this.#fields(cursor, type.fields, depth);
  }

  #fields(cursor: Cursor, fields: readonly { name: string; id: number }[], depth: number): GobStruct {
    const value: { [field: string]: GobValue } = {};
    for (let number = -1; ; ) {
      const delta = cursor.uint();
      if (delta === 0) return value;
      number += delta;
      const field = fields[number];
      if (field === undefined) throw new GobError(`field ${number} of ${fields.length}`);
      value[field.name] = this.#value(cursor, field.id, depth + 1);
    }
  }

  #value(cursor: Cursor, id: number, depth: number): GobValue {
    if (depth > DEEPEST) throw new GobError("types within types without end");
    const type = this.#types.get(id);
    switch (type?.kind) {
      case "bool":
        return cursor.uint() !== 0;
      case "int":
        return cursor.int();
      case "uint":
        return cursor.uint();
      case "bytes":
      case "opaque":
        return cursor.take(cursor.uint()).slice();
      case "string":
        return decode(cursor.take(cursor.uint()));
      case "list":
        return this.#list(cursor, [type.element], depth);
      case "map":
        return this.#list(cursor, [type.key, type.element], depth);
      case "struct":
        return this.#fields(cursor, type.fields, depth);
      default:
        throw new GobError(`type ${id} was not described, or is none that is read here`);
    }
  }

  /** @param ids The types of the repeated parts: of a map, keys and elements alternate. */
  #list(cursor: Cursor, ids: readonly number[], depth: number): GobValue[] {
    const count = cursor.uint();
    if (count > cursor.left) throw new GobError(`${count} elements in ${cursor.left} bytes`); // each takes at least one
    const list: GobValue[] = [];
    for (let i = 0; i < count; i++) for (const id of ids) list.push(this.#value(cursor, id, depth + 1));
    return list;
  }

  #learn(id: number, description: GobStruct): void {
    const { StructT, SliceT, ArrayT, MapT } = description as Record<string, Record<string, GobValue> | undefined>;
    if (StructT !== undefined) {
      const fields = (StructT["Field"] ?? []) as readonly GobStruct[];
      this.#types.set(id, {
        kind: "struct",
        fields: fields.map(({ Name, Id }) => ({ name: String(Name), id: Number(Id) })),
      });
    } else if (SliceT !== undefined || ArrayT !== undefined) {
      this.#types.set(id, { kind: "list", element: Number((SliceT ?? ArrayT)?.["Elem"]) });
    } else if (MapT !== undefined) {
      this.#types.set(id, { kind: "map", key: Number(MapT["Key"]), element: Number(MapT["Elem"]) });
    } else {
      this.#types.set(id, { kind: "opaque" });
    }
  }

  /** Adds the types of descriptions. Only they refer to their inner types, so these get private IDs, below zero. */
  #learnBuiltIn(type: GobType, id = -this.#types.size): number {
    if (typeof type === "string") return basics[type];
    this.#types.set(id, { kind: "opaque" }); // reserves the ID while the inner types get theirs
    if ("list" in type) this.#types.set(id, { kind: "list", element: this.#learnBuiltIn(type.list) });
    else {
      const fields = type.fields.map(([name, field]) => ({ name, id: this.#learnBuiltIn(field) }));
      this.#types.set(id, { kind: "struct", fields });
    }
    return id;
  }
}

class Cursor {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  take(count: number): Uint8Array {
    if (count > this.left) throw new GobError(`${count} bytes wanted, ${this.left} left`);
    this.at += count;
    return this.#bytes.subarray(this.at - count, this.at);
  }

  /** Reports whether a number is complete. */
  hasUint(): boolean {
    const first = this.#bytes[this.at];
    return first !== undefined && (first < 128 || this.left >= 1 + 256 - first);
  }

  uint(): number {
    const [first = 0] = this.take(1);
    if (first < 128) return first;
    const size = 256 - first;
    if (size > 8) throw new GobError(`a number of ${size} bytes`);
    return this.take(size).reduce((value, byte) => value * 256 + byte, 0);
  }

  int(): number {
    const value = this.uint();
    return value % 2 === 1 ? -(value - 1) / 2 - 1 : value / 2;
  }
}
