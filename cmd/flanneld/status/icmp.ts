/** Encodes and decodes ICMP echo messages of both families: RFC 792, RFC 4443. Pure. */

import type { FamilyName } from "../../../pkg/ip/family.ts";
import { sumOf } from "../../../pkg/ip/internet-checksum.ts";

/** The identification of one of our packets, which the reply repeats. */
export interface Echo {
  /** The index of the target. */
  index: number;
  size: "small" | "large";
}

//  type u8, code u8, checksum u16be, identifier u16be, sequence u16be, token, index u32be, size u8
const TOKEN_AT = 8;
export const TOKEN_LENGTH = 8;
const INDEX_AT = TOKEN_AT + TOKEN_LENGTH;
const SIZE_AT = INDEX_AT + 4;
/** The size in bytes of the smallest packet, without the IP header. */
export const SMALLEST_ECHO = SIZE_AT + 4;

const types = { ipv4: { request: 8, reply: 0 }, ipv6: { request: 128, reply: 129 } } as const;

/**
 * @param token Distinguishes our packets from those of other programs.
 * @param length The size without the IP header; at least `SMALLEST_ECHO`.
 */
export function echoRequest(family: FamilyName, { index, size }: Echo, token: Uint8Array, length: number): Uint8Array {
  const packet = new DataView(new ArrayBuffer(length));
  packet.setUint8(0, types[family].request);
  new Uint8Array(packet.buffer).set(token.subarray(0, 2), 4);
  packet.setUint16(6, index & 0xffff);
  new Uint8Array(packet.buffer).set(token, TOKEN_AT);
  packet.setUint32(INDEX_AT, index);
  packet.setUint8(SIZE_AT, size === "large" ? 1 : 0);
  if (family === "ipv4") packet.setUint16(2, ~sumOf(packet, 0, length)); // the kernel computes that of IPv6, which covers addresses
  return new Uint8Array(packet.buffer);
}

/**
 * @param received As raw sockets return it: IPv4 with the IP header, IPv6 without.
 * @returns undefined: not an answer to a packet with that token
 */
export function readEchoReply(family: FamilyName, received: Uint8Array, token: Uint8Array): Echo | undefined {
  const packet = family === "ipv4" ? received.subarray(((received[0] ?? 0) & 15) * 4) : received;
  if (packet.length < SMALLEST_ECHO || packet[0] !== types[family].reply) return undefined;
  if (token.some((byte, i) => packet[TOKEN_AT + i] !== byte)) return undefined;
  const index = new DataView(packet.buffer, packet.byteOffset).getUint32(INDEX_AT);
  return { index, size: packet[SIZE_AT] === 1 ? "large" : "small" };
}
