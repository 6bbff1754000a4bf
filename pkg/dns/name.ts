/**
 * Domain names: texts without the last dot, in lower case; the root is "". A byte that is not printable ASCII, a dot or a backslash inside a
 * label is written as \DDD, so that different names are different texts (RFC 4343, 2.1). Pure.
 */
import { type Address, formatAddress, isIPv4, parseAddress } from "../ip/address.ts";

const LONGEST_LABEL = 63;
/** With the length of each label and of the root (RFC 1035, 2.3.4). */
const LONGEST_NAME = 255;
const POINTER = 0xc0;
/** As many labels as a name can have: more pointers than that are there to keep a resolver busy. */
const MOST_POINTERS = 127;
const LOWER_CASE = 0x20;

/** Each byte as it is written in a name. */
const texts = Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 0x41 && byte <= 0x5a) return String.fromCharCode(byte | LOWER_CASE);
  const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c;
  return isPlain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`;
});

/**
 * Reads the name at an offset.
 *
 * A pointer must lead to before everything that was read so far: a compression loop cannot be followed, nor one name be read many times.
 *
 * @returns the name and the offset behind it; undefined: it is malformed, or is cut off
 */
export function readName(message: Uint8Array, at: number): { name: string; end: number } | undefined {
  let name = "";
  let end = -1; // known at the first pointer
  let size = 1;
  for (let next = at, before = at, pointers = 0; ; ) {
    const length = message[next];
    if (length === undefined) return undefined;
    if (length === 0) return { name, end: end < 0 ? next + 1 : end };
    if (length >= POINTER) {
      const low = message[next + 1];
      if (low === undefined) return undefined;
      if (end < 0) end = next + 2;
      next = ((length & ~POINTER) << 8) | low;
      if (next >= before || ++pointers > MOST_POINTERS) return undefined;
      before = next;
      continue;
    }
    size += 1 + length;
    if (length > LONGEST_LABEL || size > LONGEST_NAME || next + 1 + length > message.length) return undefined;
    if (name !== "") name += ".";
    for (let i = next + 1; i <= next + length; i++) name += texts[message[i] as number];
    next += 1 + length;
  }
}

/** Encodes a name. @returns undefined: it is longer than a name may be, has an empty label or one over 63 bytes, or is not ASCII */
export function encodeName(name: string): Uint8Array | undefined {
  const bytes: number[] = [];
  for (const label of name === "" ? [] : name.split(".")) {
    const unescaped = label.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number(digits)));
    if (unescaped.length === 0 || unescaped.length > LONGEST_LABEL) return undefined;
    bytes.push(unescaped.length);
    for (let i = 0; i < unescaped.length; i++) bytes.push(unescaped.charCodeAt(i));
  }
  bytes.push(0);
  return bytes.length > LONGEST_NAME || bytes.some((byte) => byte > 0xff) ? undefined : Uint8Array.from(bytes);
}

const IPV4_SUFFIX = ".in-addr.arpa";
const IPV6_SUFFIX = ".ip6.arpa";

/** Returns the address that a name for reverse look-ups stands for, such as 2.0.18.172.in-addr.arpa; undefined: it is another name. */
export function addressOfReverseName(name: string): Address | undefined {
  if (name.endsWith(IPV4_SUFFIX)) {
    const address = parseAddress(name.slice(0, -IPV4_SUFFIX.length).split(".").reverse().join("."));
    return address !== undefined && isIPv4(address) ? address : undefined;
  }
  if (!name.endsWith(IPV6_SUFFIX)) return undefined;
  const digits = name.slice(0, -IPV6_SUFFIX.length).split(".").reverse();
  if (digits.length !== 32 || digits.some((digit) => !/^[0-9a-f]$/.test(digit))) return undefined;
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(`${digits[2 * i]}${digits[2 * i + 1]}`, 16));
}

/** Returns an address as the key of a map: the same text for the same address, however it was written. */
export const addressKey = (address: Address): string => formatAddress(address);
