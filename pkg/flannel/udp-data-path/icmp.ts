/** ICMP errors, as a router sends them (RFC 792, 1191, 1812 4.3). Pure. */
import { sumOf } from "../../ip/internet-checksum.ts";
import { FRAGMENT_OFFSET, headerLengthOf, IPV4, PROTOCOL_ICMP, setHeaderChecksum } from "./packet.ts";

export interface IcmpError {
  type: number;
  code: number;
  /** Of the next hop, with "fragmentation needed". */
  mtu?: number;
}
export const netUnreachable: IcmpError = { type: 3, code: 0 };
export const timeExceeded: IcmpError = { type: 11, code: 0 };
export const fragmentationNeeded = (mtu: number): IcmpError => ({ type: 3, code: 4, mtu });

const ICMP_HEADER = 8;
/** RFC 1812 4.3.2.3: as much of the packet as fits into 576 bytes. */
export const MAX_ICMP_ERROR = 576;
const MAX_QUOTE = MAX_ICMP_ERROR - IPV4.minHeader - ICMP_HEADER;
const TTL = 64;

/** Reports whether an error may be sent in answer to the packet (RFC 1122 3.2.2): its source is one host, and it is no error itself. */
export function mayAnswer(view: DataView, at: number, size: number): boolean {
  if ((view.getUint16(at + IPV4.fragment) & FRAGMENT_OFFSET) !== 0) return false;
  if (!isUnicast(view.getUint8(at + IPV4.source)) || isMulticast(view.getUint8(at + IPV4.destination))) return false;
  if (view.getUint8(at + IPV4.protocol) !== PROTOCOL_ICMP) return true;
  const header = headerLengthOf(view, at);
  return size > header && QUERIES.has(view.getUint8(at + header));
}
/** Echo reply and request, timestamp, information, address mask: ICMP that is no error. */
const QUERIES: ReadonlySet<number> = new Set([0, 8, 13, 14, 15, 16, 17, 18]);

/** By the first byte: neither 0.0.0.0/8 nor loopback, multicast, reserved or broadcast. */
const isUnicast = (first: number): boolean => first !== 0 && first !== 127 && first < 224;
const isMulticast = (first: number): boolean => first >= 224;

/** Writes the error in answer to a packet of `size` bytes at `at` (or its beginning) to `to`, where 576 bytes are free. @returns its size */
export function writeIcmpError(
  view: DataView,
  to: number,
  error: IcmpError,
  source: number,
  at: number,
  size: number,
): number {
  const quoted = Math.min(size, MAX_QUOTE);
  const total = IPV4.minHeader + ICMP_HEADER + quoted;
  view.setUint32(to, 0x45c00000 + total); // version and header length; TOS as Linux sets it (internetwork control)
  view.setUint32(to + IPV4.id, 0);
  view.setUint8(to + IPV4.ttl, TTL);
  view.setUint8(to + IPV4.protocol, PROTOCOL_ICMP);
  view.setInt32(to + IPV4.source, source);
  view.setInt32(to + IPV4.destination, view.getInt32(at + IPV4.source));
  setHeaderChecksum(view, to);
  const icmp = to + IPV4.minHeader;
  view.setUint8(icmp, error.type);
  view.setUint8(icmp + 1, error.code);
  view.setUint16(icmp + 2, 0);
  view.setUint32(icmp + 4, error.mtu ?? 0);
  for (let i = 0; i < quoted; i++) view.setUint8(icmp + ICMP_HEADER + i, view.getUint8(at + i));
  view.setUint16(icmp + 2, ~sumOf(view, icmp, ICMP_HEADER + quoted) & 0xffff);
  return total;
}

/** As net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst. */
const PER_SECOND = 1000;
const BURST = 50;

/** Limits how many errors are sent; `allow` is asked for each. */
export function createRateLimit(): { allow(nowMs: number): boolean } {
  let [tokens, filledAt] = [BURST, -Infinity];
  return {
    allow(nowMs) {
      tokens = Math.min(BURST, tokens + ((nowMs - filledAt) * PER_SECOND) / 1000);
      filledAt = nowMs;
      if (tokens < 1) return false;
      tokens--;
      return true;
    },
  };
}
