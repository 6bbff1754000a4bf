/** ICMP and ICMPv6 echo requests and replies (RFC 792, RFC 4443). Pure. */
import { type Address, isIPv4 } from "./address.ts";

const ECHO_REQUEST = { ipv4: 8, ipv6: 128 } as const;
const ECHO_REPLY = { ipv4: 0, ipv6: 129 } as const;
const HEADER_BYTES = 8;
/** As many as ping sends, so that what treats packets by their size treats these alike. */
const PAYLOAD_BYTES = 56;

/** Encodes a request. Its checksum is the kernel's for IPv6. */
export function encodeEcho(to: Address, id: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + PAYLOAD_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = isIPv4(to) ? ECHO_REQUEST.ipv4 : ECHO_REQUEST.ipv6;
  view.setUint16(4, id);
  view.setUint16(6, 1); // sequence
  if (isIPv4(to)) view.setUint16(2, checksumOf(view));
  return bytes;
}

/** Returns the Internet checksum of an even number of bytes (RFC 1071). */
function checksumOf(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < view.byteLength; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Reports whether a packet of a raw socket, which has its IP header for IPv4 only, is the reply to a request with this ID. */
export function isEchoReply(packet: Uint8Array, from: Address, id: number): boolean {
  const at = isIPv4(from) ? ((packet[0] ?? 0) & 0x0f) * 4 : 0;
  if (packet.length < at + HEADER_BYTES) return false;
  const type = isIPv4(from) ? ECHO_REPLY.ipv4 : ECHO_REPLY.ipv6;
  return packet[at] === type && (((packet[at + 4] ?? 0) << 8) | (packet[at + 5] ?? 0)) === id;
}
