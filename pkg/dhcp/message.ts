/**
 * Encodes and decodes DHCP messages. Pure.
 *
 * Input from the network is untrusted: decoding returns a value or undefined, whatever the bytes are.
 *
 * @see RFC 2131, section 2; RFC 2132 for the options; RFC 3396 for options that are longer than 255 bytes
 */
import type { Address } from "../ip/address.ts";

export const BOOTREQUEST = 1;
export const BOOTREPLY = 2;

/** Option 53. */
export const MessageType = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
} as const;

/** Options by number; several with the same number are concatenated. */
export type Options = ReadonlyMap<number, Uint8Array>;

export interface Message {
  op: number;
  transaction: number;
  /** Seconds since the client began to acquire or renew. */
  seconds: number;
  /** Whether servers must broadcast answers. */
  broadcast: boolean;
  /** The client's address, if it has one. */
  clientAddress: Address;
  /** The address that the server assigns. */
  yourAddress: Address;
  hardwareAddress: Uint8Array;
  options: Options;
}

/** Offsets of the fields of a DHCP message. */
const At = {
  hardwareLength: 2,
  xid: 4,
  secs: 8,
  flags: 10,
  ciaddr: 12,
  yiaddr: 16,
  chaddr: 28,
  sname: 44,
  file: 108,
  cookie: 236,
};
const OPTIONS = 240;
const COOKIE = 0x63825363;
const ETHERNET = 1;
const FLAG_BROADCAST = 0x8000;
/** RFC 951: some relays drop shorter messages. */
const SMALLEST = 300;

const OPTION_PAD = 0;
const OPTION_OVERLOAD = 52;
const OPTION_END = 255;
const LONGEST_OPTION = 255;

export function encodeMessage(message: Message): Uint8Array {
  const options = [...message.options].flatMap(([code, value]) => pieces(code, value));
  const bytes = new Uint8Array(Math.max(SMALLEST, OPTIONS + options.length + 1));
  const view = new DataView(bytes.buffer);
  bytes.set([message.op, ETHERNET, message.hardwareAddress.length]);
  view.setUint32(At.xid, message.transaction);
  view.setUint16(At.secs, Math.min(message.seconds, 0xffff));
  view.setUint16(At.flags, message.broadcast ? FLAG_BROADCAST : 0);
  bytes.set(message.clientAddress, At.ciaddr);
  bytes.set(message.yourAddress, At.yiaddr);
  bytes.set(message.hardwareAddress.subarray(0, 16), At.chaddr);
  view.setUint32(At.cookie, COOKIE);
  bytes.set(options, OPTIONS);
  bytes[OPTIONS + options.length] = OPTION_END;
  return bytes;
}

function pieces(code: number, value: Uint8Array): number[] {
  const out: number[] = [];
  for (let from = 0; from === 0 || from < value.length; from += LONGEST_OPTION) {
    const piece = value.subarray(from, from + LONGEST_OPTION);
    out.push(code, piece.length, ...piece);
  }
  return out;
}

/** Decodes a message; undefined: it is not a DHCP message. */
export function decodeMessage(bytes: Uint8Array): Message | undefined {
  if (bytes.length < OPTIONS) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(At.cookie) !== COOKIE) return undefined;
  const options = new Map<number, Uint8Array>();
  collectOptions(bytes.subarray(OPTIONS), options);
  const overload = options.get(OPTION_OVERLOAD)?.[0] ?? 0; // 1: the field "file" holds options too, 2: "sname", 3: both
  if ((overload & 1) !== 0) collectOptions(bytes.subarray(At.file, At.cookie), options);
  if ((overload & 2) !== 0) collectOptions(bytes.subarray(At.sname, At.file), options);
  return {
    op: view.getUint8(0),
    transaction: view.getUint32(At.xid),
    seconds: view.getUint16(At.secs),
    broadcast: (view.getUint16(At.flags) & FLAG_BROADCAST) !== 0,
    clientAddress: bytes.slice(At.ciaddr, At.ciaddr + 4),
    yourAddress: bytes.slice(At.yiaddr, At.yiaddr + 4),
    hardwareAddress: bytes.slice(At.chaddr, At.chaddr + Math.min(view.getUint8(At.hardwareLength), 16)),
    options,
  };
}

/** Collects options; one that is truncated is ignored. */
function collectOptions(bytes: Uint8Array, options: Map<number, Uint8Array>): void {
  for (let at = 0; at < bytes.length; ) {
    const code = bytes[at++] ?? OPTION_END;
    if (code === OPTION_PAD) continue;
    if (code === OPTION_END) return;
    const length = bytes[at++] ?? LONGEST_OPTION;
    if (at + length > bytes.length) return;
    const before = options.get(code) ?? new Uint8Array(0);
    const value = new Uint8Array(before.length + length);
    value.set(before);
    value.set(bytes.subarray(at, at + length), before.length);
    options.set(code, value);
    at += length;
  }
}
