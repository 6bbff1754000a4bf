/** IPv4, TCP and UDP headers within a buffer (RFC 791, 9293, 768). Pure. */
import { sumOf } from "../../ip/internet-checksum.ts";

export const IPV4 = {
  minHeader: 20,
  tos: 1,
  totalLength: 2,
  id: 4,
  fragment: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
} as const;
export const DONT_FRAGMENT = 0x4000;
export const FRAGMENT_OFFSET = 0x1fff;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

export const TCP = {
  minHeader: 20,
  sequence: 4,
  acknowledgment: 8,
  offset: 12,
  flags: 13,
  window: 14,
  checksum: 16,
  urgent: 18,
} as const;
/** Of the 16 bits that begin with the offset: those that had no meaning once, as AE has now (RFC 9768), and the eight flags. */
export const TCP_FLAGS = 0x0fff;
export const TCP_FIN = 0x01;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_CWR = 0x80;

export const UDP = { header: 8, length: 4, checksum: 6 } as const;

/** What a datagram has before the packet that is its payload: IPv4 and UDP headers. */
export const OUTER_HEADERS = IPV4.minHeader + UDP.header;
/** The payload of the largest datagram, also of one that the kernel cuts (UDP_SEGMENT). */
export const MAX_PAYLOAD = 65535 - OUTER_HEADERS;
/** linux/udp.h: UDP_MAX_SEGMENTS of kernels before 6.8, the most datagrams that one is cut into or joined from. */
export const MAX_SEGMENTS = 64;

export const headerLengthOf = (view: DataView, at: number): number => (view.getUint8(at) & 0x0f) * 4;
export const tcpHeaderLengthOf = (view: DataView, tcp: number): number => (view.getUint8(tcp + TCP.offset) >> 4) * 4;

export type PacketProblem = "NotIPv4" | "Truncated" | "Oversized" | "Malformed";

/** Says why `size` bytes are not exactly one IPv4 packet, as far as lengths tell. */
export function problemOf(view: DataView, at: number, size: number): PacketProblem | undefined {
  if (size === 0) return "Truncated";
  if (view.getUint8(at) >> 4 !== 4) return "NotIPv4";
  if (size < IPV4.minHeader) return "Truncated";
  const header = headerLengthOf(view, at);
  const total = view.getUint16(at + IPV4.totalLength);
  if (header < IPV4.minHeader || total < header) return "Malformed";
  if (total > size) return "Truncated";
  return total < size ? "Oversized" : undefined;
}

/** Lowers the TTL by one and corrects the checksum (RFC 1141). @returns false, with the packet as it was, if it has none left */
export function decrementTtl(view: DataView, at: number): boolean {
  const ttl = view.getUint8(at + IPV4.ttl);
  if (ttl <= 1) return false;
  view.setUint8(at + IPV4.ttl, ttl - 1);
  const sum = view.getUint16(at + IPV4.checksum) + 0x0100;
  view.setUint16(at + IPV4.checksum, (sum & 0xffff) + (sum >> 16));
  return true;
}

/** Returns the sum of the pseudo-header of TCP and UDP, not folded: both addresses, the protocol, and the length of header and data. */
export function pseudoHeaderSum(view: DataView, at: number, protocol: number, length: number): number {
  return (
    view.getUint16(at + IPV4.source) +
    view.getUint16(at + IPV4.source + 2) +
    view.getUint16(at + IPV4.destination) +
    view.getUint16(at + IPV4.destination + 2) +
    protocol +
    length
  );
}

/** Reports whether the checksum of the packet's own header is right. */
export const isHeaderIntact = (view: DataView, at: number): boolean =>
  sumOf(view, at, headerLengthOf(view, at)) === 0xffff;

export function setHeaderChecksum(view: DataView, at: number): void {
  view.setUint16(at + IPV4.checksum, 0);
  view.setUint16(at + IPV4.checksum, ~sumOf(view, at, headerLengthOf(view, at)) & 0xffff);
}
