/** Cuts a super-packet into the packets that it stands for, as a network card does it (linux/virtio_net.h: VIRTIO_NET_HDR_GSO_TCPV4, _UDP_L4). Pure. */
import { folded, sumOf } from "../../ip/internet-checksum.ts";
import {
  headerLengthOf,
  IPV4,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  pseudoHeaderSum,
  TCP,
  TCP_CWR,
  TCP_FIN,
  TCP_PSH,
  tcpHeaderLengthOf,
  UDP,
} from "./packet.ts";

/** A packet: its header, which is new, and its data within the super-packet. */
export type Emit = (header: number, headerSize: number, data: number, dataSize: number) => void;

/** Returns the length of both headers, or 0 if the packet is too short for them. */
export function headersLengthOf(view: DataView, at: number, size: number): number {
  const ip = headerLengthOf(view, at);
  const isTcp = view.getUint8(at + IPV4.protocol) === PROTOCOL_TCP;
  if (size < ip + (isTcp ? TCP.minHeader : UDP.header)) return 0;
  const transport = isTcp ? tcpHeaderLengthOf(view, at + ip) : UDP.header;
  return transport < UDP.header || size < ip + transport ? 0 : ip + transport;
}

/**
 * Cuts the packet at `at`. Headers are written from `headers` on, each to a multiple of 64 less than 128 apart.
 *
 * @param dataSize How much data each packet gets, the last the rest.
 */
export function cutTcp(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  size: number,
  dataSize: number,
  headers: number,
  emit: Emit,
): void {
  const ip = headerLengthOf(view, at);
  const header = headersLengthOf(view, at, size);
  const tcp = at + ip;
  const [firstSequence, firstId] = [view.getUint32(tcp + TCP.sequence), view.getUint16(at + IPV4.id)];
  const flags = view.getUint8(tcp + TCP.flags);
  const offset = view.getUint8(tcp + TCP.offset) << 8;
  view.setUint32(tcp + TCP.sequence, 0);
  view.setUint16(tcp + TCP.offset, 0);
  view.setUint16(tcp + TCP.checksum, 0);
  const ipSum = commonHeaderSum(view, at, ip);
  const tcpSum = sumOf(view, tcp, header - ip) + pseudoHeaderSum(view, at, PROTOCOL_TCP, 0);
  const end = at + size;
  let to = headers;
  for (let data = at + header, i = 0; data < end; data += dataSize, i++, to += HEADER_SPACE) {
    const length = Math.min(dataSize, end - data);
    const isLast = data + length === end;
    const total = header + length;
    const sequence = (firstSequence + i * dataSize) >>> 0;
    const own = offset | (flags & ~(isLast ? 0 : TCP_FIN | TCP_PSH) & ~(i === 0 ? 0 : TCP_CWR));
    bytes.copyWithin(to, at, at + header);
    completeHeader(view, to, ipSum, total, (firstId + i) & 0xffff);
    view.setUint32(to + ip + TCP.sequence, sequence);
    view.setUint16(to + ip + TCP.offset, own);
    const sum = tcpSum + (sequence >>> 16) + (sequence & 0xffff) + own + (total - ip) + sumOf(view, data, length);
    view.setUint16(to + ip + TCP.checksum, ~folded(sum));
    emit(to, header, data, length);
  }
}

export function cutUdp(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  size: number,
  dataSize: number,
  headers: number,
  emit: Emit,
): void {
  const ip = headerLengthOf(view, at);
  const header = ip + UDP.header;
  const udp = at + ip;
  const firstId = view.getUint16(at + IPV4.id);
  view.setUint16(udp + UDP.length, 0);
  view.setUint16(udp + UDP.checksum, 0);
  const ipSum = commonHeaderSum(view, at, ip);
  const udpSum = sumOf(view, udp, UDP.header) + pseudoHeaderSum(view, at, PROTOCOL_UDP, 0);
  const end = at + size;
  let to = headers;
  for (let data = at + header, i = 0; data < end; data += dataSize, i++, to += HEADER_SPACE) {
    const length = Math.min(dataSize, end - data);
    const total = header + length;
    bytes.copyWithin(to, at, at + header);
    completeHeader(view, to, ipSum, total, (firstId + i) & 0xffff);
    view.setUint16(to + ip + UDP.length, total - ip);
    const sum = ~folded(udpSum + 2 * (total - ip) + sumOf(view, data, length)) & 0xffff; // the length is part of header and pseudo-header
    view.setUint16(to + ip + UDP.checksum, sum === 0 ? 0xffff : sum); // 0 says that there is none
    emit(to, header, data, length);
  }
}

/** Returns the checksum of what the IPv4 headers of all packets have in common; what they have not is 0 afterwards. */
function commonHeaderSum(view: DataView, at: number, headerSize: number): number {
  view.setUint16(at + IPV4.totalLength, 0);
  view.setUint16(at + IPV4.id, 0);
  view.setUint16(at + IPV4.checksum, 0);
  return sumOf(view, at, headerSize);
}

function completeHeader(view: DataView, to: number, commonSum: number, total: number, id: number): void {
  view.setUint16(to + IPV4.totalLength, total);
  view.setUint16(to + IPV4.id, id);
  view.setUint16(to + IPV4.checksum, ~folded(commonSum + total + id));
}

/** Room for a header: both of IPv4 and TCP have at most 60 bytes. */
export const HEADER_SPACE = 128;
