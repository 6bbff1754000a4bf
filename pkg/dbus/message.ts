/**
 * Encodes and decodes D-Bus messages: calls with string arguments, and replies of basic types. Pure.
 *
 * Rejected: a library. The smallest has thousands of lines for types that are not used here, and is asynchronous.
 *
 * @see D-Bus Specification, "Type System" and "Message Protocol": everything is aligned to its own size, counted from the beginning of the message
 */
import { decode, encode } from "../sys/text.ts";

export interface Call {
  destination: string;
  /** The path of the object. */
  path: string;
  interface: string;
  member: string;
  /** The arguments, all of type string ("s"). */
  args: readonly string[];
}

export type Value = string | number | boolean;

/** A received message. */
export interface Message {
  kind: "call" | "return" | "error" | "signal" | "unknown";
  /** The serial of the call that it answers; 0 for none. */
  replyTo: number;
  /** The name of the error, as `org.freedesktop.DBus.Error.ServiceUnknown`; only in errors. */
  errorName: string | undefined;
  /** The arguments before the first one that is not of a basic type. */
  args: readonly Value[];
}

/** The bytes are not a D-Bus message. */
export class FormatError extends Error {
  override name = "FormatError";
}

const KINDS = ["unknown", "call", "return", "error", "signal"] as const;
const METHOD_CALL = 1;
const VERSION = 1;
/** The numbers of header fields. */
const FIELD = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, destination: 6, signature: 8 } as const;
/** The size of the fixed part and of the length of the array of fields. */
const FIXED_SIZE = 16;
/** The largest accepted message. The protocol allows 128 MiB; a reply to our calls has a hundred bytes. */
const MAX_SIZE = 1 << 20;

const aligned = (at: number, to: number): number => Math.ceil(at / to) * to;

// --- Writing: in little endian, whatever the host's order is: the first byte says so -----------------------------------------------------

class Output {
  readonly bytes: number[] = [];

  align(to: number): void {
    while (this.bytes.length % to !== 0) this.bytes.push(0);
  }

  u32(value: number): void {
    this.align(4);
    this.bytes.push(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff);
  }

  /** Writes a STRING or an OBJECT_PATH. */
  text(value: string): void {
    const text = encode(value);
    this.u32(text.length);
    this.bytes.push(...text, 0);
  }

  signature(value: string): void {
    this.bytes.push(value.length, ...encode(value), 0);
  }

  field(number: number, type: "o" | "s" | "g", value: string): void {
    this.align(8);
    this.bytes.push(number);
    this.signature(type);
    if (type === "g") this.signature(value);
    else this.text(value);
  }
}

export function encodeCall({ destination, path, interface: name, member, args }: Call, serial: number): Uint8Array {
  const body = new Output();
  for (const arg of args) body.text(arg);
  const out = new Output();
  out.bytes.push("l".charCodeAt(0), METHOD_CALL, 0, VERSION);
  out.u32(body.bytes.length);
  out.u32(serial);
  out.u32(0); // the fields' length, known below
  out.field(FIELD.path, "o", path);
  out.field(FIELD.interface, "s", name);
  out.field(FIELD.member, "s", member);
  out.field(FIELD.destination, "s", destination);
  if (args.length > 0) out.field(FIELD.signature, "g", "s".repeat(args.length));
  const fieldsLength = out.bytes.length - FIXED_SIZE;
  out.align(8);
  const message = Uint8Array.from([...out.bytes, ...body.bytes]);
  new DataView(message.buffer).setUint32(FIXED_SIZE - 4, fieldsLength, true);
  return message;
}

// --- Reading -----------------------------------------------------------------------------------------------------------------------------

/** Returns the size of the message that begins here; undefined: more bytes are needed. @throws FormatError */
export function sizeOf(bytes: Uint8Array): number | undefined {
  if (bytes.length < FIXED_SIZE) return undefined;
  const input = new Input(bytes);
  const body = input.u32(4);
  const size = aligned(FIXED_SIZE + input.u32(FIXED_SIZE - 4), 8) + body;
  if (size > MAX_SIZE) throw new FormatError(`a message of ${size} bytes, at most ${MAX_SIZE} are taken`);
  return size;
}

/** Decodes a message. @param bytes A whole message. @throws FormatError */
export function decodeMessage(bytes: Uint8Array): Message {
  const input = new Input(bytes);
  const end = FIXED_SIZE + input.u32(FIXED_SIZE - 4);
  const fields = new Map<number, Value | undefined>();
  for (input.at = FIXED_SIZE; input.at < end; input.at = aligned(input.at, 8)) {
    const number = input.byte();
    const [type = ""] = input.signature();
    fields.set(number, input.value(type));
  }
  input.at = aligned(end, 8);
  const signature = fields.get(FIELD.signature);
  const replyTo = fields.get(FIELD.replySerial);
  const errorName = fields.get(FIELD.errorName);
  return {
    kind: KINDS[bytes[1] ?? 0] ?? "unknown",
    replyTo: typeof replyTo === "number" ? replyTo : 0,
    errorName: typeof errorName === "string" ? errorName : undefined,
    args: typeof signature === "string" ? input.values(signature) : [],
  };
}

class Input {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #isLittle: boolean;

  constructor(bytes: Uint8Array) {
    const [order] = bytes;
    if (order !== "l".charCodeAt(0) && order !== "B".charCodeAt(0)) throw new FormatError(`byte order ${order}`);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#isLittle = order === "l".charCodeAt(0);
  }

  byte(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new FormatError("the message ends too early");
    return byte;
  }

  u32(at: number): number {
    if (at + 4 > this.#bytes.length) throw new FormatError("the message ends too early");
    return this.#view.getUint32(at, this.#isLittle);
  }

  signature(): string {
    return this.#text(this.byte());
  }

  /** Reads an argument; undefined: its type is not basic, so that later ones cannot be found. */
  value(type: string): Value | undefined {
    switch (type) {
      case "y":
        return this.byte();
      case "g":
        return this.signature();
      case "b":
        return this.#next() !== 0;
      case "u":
        return this.#next();
      case "s":
      case "o":
        return this.#text(this.#next());
      default:
        return undefined;
    }
  }

  values(signature: string): Value[] {
    const values: Value[] = [];
    for (const type of signature) {
      const value = this.value(type);
      if (value === undefined) break;
      values.push(value);
    }
    return values;
  }

  #next(): number {
    const at = aligned(this.at, 4);
    this.at = at + 4;
    return this.u32(at);
  }

  #text(length: number): string {
    const from = this.at;
    this.at = from + length + 1; // with its NUL
    if (this.at > this.#bytes.length) throw new FormatError("a text ends behind its message");
    return decode(this.#bytes, from, from + length);
  }
}
