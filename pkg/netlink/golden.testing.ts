// What every table's test does with its golden rows: bytes that the standard tools or the kernel produced. README.md says how to capture them.
import t from "tap";
import { randomFrom, testSeed } from "../sys/random.testing.ts";
import type { Request } from "./connection.ts";
import { decode, encode, type MessageOf } from "./message.ts";
import { NLM_F_ACK, NLM_F_REQUEST } from "./nlmsg.ts";
import { type AnyWire, WireError } from "./wire.ts";

export interface Golden<T extends AnyWire> {
  command: string;
  /** "kernel": the kernel sent it to the command. Else the command sent it. */
  from?: "kernel";
  /** Hexadecimal, without nlmsghdr. */
  wire: string;
  value?: MessageOf<T>;
  /** Of a long message what matters, instead of all of it. */
  part?: Partial<MessageOf<T>>;
  /** The kernel leaves NLA_F_NESTED out where we set it. */
  unflagged?: true;
  /** Why the value encodes to other bytes of the same meaning. */
  differs?: string;
  /** Why it cannot be encoded again. */
  oneWay?: string;
}

const mutations = 60;

/** Registers a test for each row: decodes to the value, encodes to the bytes, and comes to an end with every other input. */
export function golden<T extends AnyWire>(table: T, rows: readonly Golden<T>[]): void {
  for (const row of rows) {
    t.test(row.from === "kernel" ? `answer to: ${row.command}` : row.command, (t) => {
      const bytes = fromHex(row.wire);
      const decoded: MessageOf<T> = decode(table, bytes);
      if (row.value !== undefined) t.strictSame(decoded, row.value);
      if (row.part !== undefined) t.strictSame(pick(decoded, Object.keys(row.part)), row.part);

      const encoded = encode(table, row.value ?? decoded);
      if (row.oneWay !== undefined) t.ok(encoded.length > 0, row.oneWay);
      else if (row.differs !== undefined) t.strictSame(decode(table, encoded), decoded, row.differs);
      else if (row.unflagged) t.equal(hexLines(encoded), hexLines(flagAs(encoded, bytes)));
      else t.equal(hexLines(encoded), hexLines(bytes));

      const seed = testSeed();
      t.equal(firstSurprise(table, bytes, seed), "", `every truncation, and ${mutations} changes with seed ${seed}`);
      t.end();
    });
  }
}

/** A request, and the command that sends the same. */
export interface SentByCommand {
  command: string;
  ours: Request;
  /** The type and the flags of the command's nlmsghdr. */
  type: number;
  flags: number;
  /** Hexadecimal, without nlmsghdr. */
  wire: string;
  /** What ours has instead, undefined for what it does not have, and why. */
  differs?: { type?: number; flags?: number; value?: Record<string, unknown>; because: string };
}

/** Registers a test for each row: the request is what the command sends, in whatever order the attributes are. */
export function requestsOfCommands(rows: readonly SentByCommand[]): void {
  for (const { command, ours, wire, differs, ...header } of rows) {
    t.test(command, (t) => {
      const theirs = defined({ ...decode(ours.table, fromHex(wire)), ...differs?.value });
      t.strictSame(decode(ours.table, encode(ours.table, ours.value)), theirs, differs?.because ?? "the message");
      t.equal(ours.type, differs?.type ?? header.type, "type");
      const flags = ours.flags | NLM_F_REQUEST | NLM_F_ACK;
      t.equal(flags.toString(16), (differs?.flags ?? header.flags).toString(16), "flags");
      t.end();
    });
  }
}

const defined = (record: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));

function pick(record: Record<string, unknown>, keys: string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, record[key]]));
}

/** `wanted` with NLA_F_NESTED wherever `found` has it: any other difference stays. */
function flagAs(found: Uint8Array, wanted: Uint8Array): Uint8Array {
  return wanted.map((byte, i) => ((found[i] ?? 0) === (byte | 0x80) ? byte | 0x80 : byte));
}

/** The first input that makes the table do anything else than give a value, or complain as WireError. */
export function firstSurprise(table: AnyWire, bytes: Uint8Array, seed: number): string {
  const random = randomFrom(seed);
  const inputs = [];
  for (let length = 0; length < bytes.length; length++) inputs.push(bytes.slice(0, length));
  for (let i = 0; i < mutations; i++) inputs.push(mutated(bytes, random));
  for (const input of inputs) {
    try {
      const value = decode(table, input);
      table.text(value, {});
      encode(table, value);
    } catch (error) {
      if (!(error instanceof WireError)) return `${error}\n${hexLines(input)}`;
    }
  }
  return "";
}

/** A few bytes changed, or all of them. */
function mutated(bytes: Uint8Array, random: () => number): Uint8Array {
  if (random() < 0.1) return bytes.map(() => 256 * random());
  const changed = bytes.slice();
  for (let i = 0; i < 1 + 4 * random(); i++) changed[Math.floor(random() * bytes.length)] = 256 * random();
  return changed;
}

export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/\s/g, "");
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Four bytes a line: a diff shows the field. */
export function hexLines(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
  const lines = [];
  for (let i = 0; i < digits.length; i += 4) lines.push(digits.slice(i, i + 4).join(" "));
  return lines.join("\n");
}

export const hex = fromHex;

export function mac(text: string): Uint8Array {
  return fromHex(text.replaceAll(":", ""));
}

export function ip(text: string): Uint8Array {
  if (text.includes(".")) return Uint8Array.from(text.split("."), Number);
  const [head = "", tail = ""] = text.split("::");
  const groups = (part: string) => part.split(":").filter(Boolean);
  const zeros = new Array(8 - groups(head).length - groups(tail).length).fill("0");
  return fromHex([...groups(head), ...zeros, ...groups(tail)].map((group) => group.padStart(4, "0")).join(""));
}

/** Text in a fixed length, as interface names stand in registers. */
export function padded(text: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
