// IP addresses and prefixes: conversion between text and bytes, and arithmetic. Pure.
//
// Texts are those of Go's package net, since file names, configurations and results of the reference plugins contain them: parsing
// is as strict as net.ParseIP and net.ParseCIDR, formatting is net.IP.String(), which is RFC 5952. As in Go, IPv4 written as IPv6
// (`::ffff:10.0.0.1`) is IPv4.
//
// Rejected: ip-num, which costs a plugin 1.7 ms per start and 50 us per address; the tests compare with it instead.

/** 4 bytes (IPv4) or 16 (IPv6), in network byte order. */
export type Address = Uint8Array;

/** An address and the length of its network prefix. Host bits are kept: `10.0.0.5/24` is a container's address. */
export type Prefix = { address: Address; length: number };

const IPV4_BYTES = 4;
const IPV6_BYTES = 16;
const MAPPED_BITS = 96; // ::ffff:0:0/96

const DOT = 0x2e;
const SLASH = "/";
const COLON = 0x3a;

/**
 * Parses an address. @returns undefined for what net.ParseIP refuses: leading zeros in IPv4, zones, groups of over four digits,
 * white space.
 */
export function parseAddress(text: string): Address | undefined {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === DOT) return parseIPv4(text, 0);
    if (code === COLON) {
      const address = parseIPv6(text);
      return address && unmapped(address);
    }
  }
  return undefined;
}

/** Reports whether it is 0.0.0.0 or ::. */
export const isUnspecified = (address: Address): boolean => address.every((byte) => byte === 0);

/** Parses the gateway of a route; undefined also for the unspecified address, by which DHCP's option 121 says that there is none (RFC 3442). */
export function parseGateway(text: string): Address | undefined {
  const address = parseAddress(text);
  return address === undefined || isUnspecified(address) ? undefined : address;
}

/** Parses `10.0.0.5/24`. @returns undefined for what net.ParseCIDR refuses, such as an address without a length. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf(SLASH);
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const bits = parseBits(text, slash + 1);
  if (address === undefined || bits === undefined) return undefined;
  const mapped = isIPv4(address) && text.includes(":");
  const length = bits - (mapped ? MAPPED_BITS : 0);
  return length >= 0 && length <= address.length * 8 ? { address, length } : undefined;
}

/** Parses the digits from `from` on; undefined where there is something else, or nothing. */
function parseBits(text: string, from: number): number | undefined {
  let value = 0;
  for (let at = from; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return from < text.length ? value : undefined;
}

/** Formats as `10.0.0.5`, `2001:db8::1`: lower case, the first longest run of zero groups shortened. */
export function formatAddress(address: Address): string {
  const bytes = unmapped(address);
  return isIPv4(bytes) ? `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` : formatIPv6(bytes);
}

export function formatPrefix(prefix: Prefix): string {
  return formatAddress(prefix.address) + SLASH + prefix.length;
}

export function isIPv4(address: Address): boolean {
  return address.length === IPV4_BYTES;
}

/** Returns the prefix with its host bits cleared: `10.0.0.5/24` becomes `10.0.0.0/24`. */
export function networkOf(prefix: Prefix): Prefix {
  const { length } = prefix;
  const address = prefix.address.slice();
  for (let at = length >> 3; at < address.length; at++) address[at] = (address[at] as number) & maskByte(length, at);
  return { address, length };
}

/** Returns the netmask of a prefix length. @param size Bytes of an address of its family. */
export const netmask = (size: number, length: number): Address =>
  networkOf({ address: new Uint8Array(size).fill(0xff), length }).address;

/** Returns the address with all host bits set: for IPv4 the broadcast address. */
export function lastAddressOf(prefix: Prefix): Address {
  return prefix.address.map((byte, at) => byte | (maskByte(prefix.length, at) ^ 0xff));
}

/** Whether the address is in the prefix; false when the families differ. */
export function contains(prefix: Prefix, address: Address): boolean {
  if (prefix.address.length !== address.length) return false;
  for (let at = 0; at * 8 < prefix.length; at++) {
    const difference = (prefix.address[at] as number) ^ (address[at] as number);
    if (difference & maskByte(prefix.length, at)) return false;
  }
  return true;
}

/** Whether one of the two networks contains the other, which is the only way in which networks can overlap. */
export function overlaps(one: Prefix, other: Prefix): boolean {
  return one.length <= other.length ? contains(one, other.address) : contains(other, one.address);
}

/** Returns a negative number, 0 or a positive one, as for Array.sort; every IPv4 address comes before every IPv6 address. */
export function compareAddresses(one: Address, other: Address): number {
  if (one.length !== other.length) return one.length - other.length;
  for (let at = 0; at < one.length; at++) {
    const difference = (one[at] as number) - (other[at] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Returns the address `count` after (if negative, before) this one. Wraps around at the end of the family, as unsigned integers do. */
export function addToAddress(address: Address, count: number | bigint): Address {
  return typeof count === "bigint" ? addBigInt(address, count) : addNumber(address, count);
}

function parseIPv4(text: string, from: number): Address | undefined {
  const bytes = new Uint8Array(IPV4_BYTES);
  let field = 0;
  let value = -1; // no digit yet
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      if (value < 0 || field === 3) return undefined;
      bytes[field++] = value;
      value = -1;
    } else {
      const digit = code - 0x30;
      if (digit < 0 || digit > 9 || value === 0) return undefined; // value 0: a leading zero
      value = value < 0 ? digit : value * 10 + digit;
      if (value > 255) return undefined;
    }
  }
  if (field !== 3 || value < 0) return undefined;
  bytes[3] = value;
  return bytes;
}

function parseIPv6(text: string): Address | undefined {
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const first = head === "" && tail !== undefined ? [] : parseGroups(head, tail === undefined);
  const last = tail === undefined || tail === "" ? [] : parseGroups(tail, true);
  if (!first || !last) return undefined;
  const given = first.length + last.length;
  if (tail === undefined ? given !== IPV6_BYTES : given > IPV6_BYTES - 2) return undefined; // "::" stands for at least one group
  const bytes = new Uint8Array(IPV6_BYTES);
  bytes.set(first);
  bytes.set(last, IPV6_BYTES - last.length);
  return bytes;
}

/** Parses `db8:0:1` into bytes; the last group of an address may be written as IPv4. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else {
      const embedded = atEnd && index === groups.length - 1 ? parseIPv4(group, 0) : undefined;
      if (!embedded) return undefined;
      bytes.push(...embedded);
    }
  }
  return bytes;
}

function unmapped(address: Address): Address {
  if (isIPv4(address) || address[10] !== 0xff || address[11] !== 0xff) return address;
  for (let at = 0; at < 10; at++) if (address[at] !== 0) return address;
  return address.slice(MAPPED_BITS / 8);
}

function formatIPv6(address: Address): string {
  const groups: number[] = [];
  for (let at = 0; at < IPV6_BYTES; at += 2) groups.push(((address[at] as number) << 8) | (address[at + 1] as number));
  const zeros = longestZeros(groups);
  const hex = (from: number, to: number) => groups.slice(from, to).map((group) => group.toString(16));
  if (zeros.to - zeros.from < 2) return hex(0, groups.length).join(":"); // a single zero group is written out
  return `${hex(0, zeros.from).join(":")}::${hex(zeros.to, groups.length).join(":")}`;
}

function longestZeros(groups: number[]): { from: number; to: number } {
  let longest = { from: 0, to: 0 };
  let from = 0;
  for (let at = 0; at < groups.length; at++) {
    if (groups[at] !== 0) from = at + 1;
    else if (at + 1 - from > longest.to - longest.from) longest = { from, to: at + 1 };
  }
  return longest;
}

/** Returns the byte at index `at` of the network mask. */
function maskByte(prefixLength: number, at: number): number {
  const bits = prefixLength - at * 8;
  if (bits >= 8) return 0xff;
  return bits <= 0 ? 0 : (0xff00 >> bits) & 0xff;
}

function addNumber(address: Address, count: number): Address {
  const sum = address.slice();
  let carry = count;
  for (let at = sum.length - 1; at >= 0 && carry !== 0; at--) {
    const value = (sum[at] as number) + carry;
    carry = Math.floor(value / 256);
    sum[at] = value - carry * 256;
  }
  return sum;
}

function addBigInt(address: Address, count: bigint): Address {
  const sum = address.slice();
  let carry = count;
  for (let at = sum.length - 1; at >= 0 && carry !== 0n; at--) {
    const value = BigInt(sum[at] as number) + carry;
    carry = value >> 8n; // rounds down, as the borrow of a negative count needs
    sum[at] = Number(value & 0xffn);
  }
  return sum;
}
