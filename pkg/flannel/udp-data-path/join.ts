/**
 * Joins packets of one flow that follow each other into a super-packet, as the kernel's GRO does it: the kernel then handles them as one. Only what it would cut into the same
 * packets again is joined, and only packets whose checksum is right, since a super-packet has none.
 */
import { folded, sumOf } from "../../ip/internet-checksum.ts";
import { type Arena, IOVEC } from "./arena.ts";
import {
  DONT_FRAGMENT,
  headerLengthOf,
  IPV4,
  MAX_SEGMENTS,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  pseudoHeaderSum,
  setHeaderChecksum,
  TCP,
  TCP_ACK,
  TCP_FLAGS,
  TCP_PSH,
  tcpHeaderLengthOf,
  UDP,
} from "./packet.ts";
import { GSO_TCPV4, GSO_UDP_L4, NEEDS_CSUM, VNET } from "./vnet-header.ts";

/** Of TCP there may be more, but 64 kB are reached before. */
const MAX_PACKETS = MAX_SEGMENTS;
const MAX_BYTES = 65535;
/** The header of a packet that is joined has no options. */
const IP = IPV4.minHeader;

/** Writes `count` pieces of memory as one packet to the TUN device; the first is the header that the device has before each. `bytes` are those of the packets that were joined. */
export type Write = (iovecs: number, count: number, packets: number, bytes: number) => void;

export interface Joiner {
  /** Takes a packet, which is to be carried and has one IPv4 header; it is written at the latest by `flush`. */
  add(at: number, size: number): void;
  flush(): void;
}

/** @param joinsUdp Whether the kernel takes super-packets of UDP. */
export function createJoiner(arena: Arena, joinsUdp: boolean, write: Write): Joiner {
  const { view } = arena;
  const vnet = arena.reserve(VNET.size);
  const iovecs = arena.reserve((MAX_PACKETS + 1) * IOVEC.size);
  /** The super-packet so far: where its first packet is, its headers' length (0: nothing joins it), how much data its packets have. */
  let first = 0;
  let firstSize = 0;
  let header = 0;
  let dataSize = 0;
  let packets = 0;
  let total = 0;
  let nextSequence = 0;
  let nextId = 0;
  let isVerified = false;

  for (let i = 0; i <= MAX_PACKETS; i++) arena.setPointer(iovecs + i * IOVEC.size, vnet);
  view.setUint32(iovecs + IOVEC.length, VNET.size, true);

  function add(at: number, size: number): void {
    const own = joinableHeader(at, size);
    if (packets > 0 && own !== 0 && own === header && follows(at, size) && verified(at, size)) append(at, size);
    else {
      flush();
      begin(at, size, own);
    }
  }

  function begin(at: number, size: number, own: number): void {
    first = at;
    firstSize = size;
    header = own;
    dataSize = size - own;
    packets = 1;
    total = size;
    isVerified = false;
    nextId = (view.getUint16(at + IPV4.id) + 1) & 0xffff;
    setPiece(1, at, size);
    if (own === 0 || view.getUint8(at + IPV4.protocol) !== PROTOCOL_TCP) return;
    nextSequence = (view.getInt32(at + IP + TCP.sequence) + dataSize) | 0;
    if ((view.getUint8(at + IP + TCP.flags) & TCP_PSH) !== 0) header = 0; // the last of its kind
  }

  function append(at: number, size: number): void {
    const length = size - header;
    packets++;
    total += length;
    setPiece(packets, at + header, length);
    nextSequence = (nextSequence + length) | 0;
    nextId = (nextId + 1) & 0xffff;
    const isPushed = view.getUint8(first + IPV4.protocol) === PROTOCOL_TCP && pushes(at);
    if (length < dataSize || isPushed || packets === MAX_PACKETS) flush();
  }

  /** Reports whether the packet has PSH, which the super-packet then has: the kernel sets it in the last packet. */
  function pushes(at: number): boolean {
    const flags = view.getUint8(at + IP + TCP.flags);
    if ((flags & TCP_PSH) === 0) return false;
    view.setUint8(first + IP + TCP.flags, flags);
    return true;
  }

  function setPiece(piece: number, at: number, size: number): void {
    arena.movePointer(iovecs + piece * IOVEC.size + IOVEC.base, at);
    view.setUint32(iovecs + piece * IOVEC.size + IOVEC.length, size, true);
  }

  /** Returns the length of both headers; 0 if the packet is none that others join. */
  function joinableHeader(at: number, size: number): number {
    if (headerLengthOf(view, at) !== IP || (view.getUint16(at + IPV4.fragment) & ~DONT_FRAGMENT) !== 0) return 0;
    const protocol = view.getUint8(at + IPV4.protocol);
    if (protocol === PROTOCOL_TCP && size > IP + TCP.minHeader) {
      const length = tcpHeaderLengthOf(view, at + IP);
      const isPlain = (view.getUint16(at + IP + TCP.offset) & TCP_FLAGS & ~TCP_PSH) === TCP_ACK;
      return isPlain && length >= TCP.minHeader && size > IP + length ? IP + length : 0;
    }
    if (protocol === PROTOCOL_UDP && joinsUdp && size > IP + UDP.header) {
      const hasChecksum = view.getUint16(at + IP + UDP.checksum) !== 0;
      return hasChecksum && view.getUint16(at + IP + UDP.length) === size - IP ? IP + UDP.header : 0;
    }
    return 0;
  }

  /** Reports whether the packet, whose headers are as long as those of the first, continues the super-packet. */
  function follows(at: number, size: number): boolean {
    const id = view.getUint16(at + IPV4.id);
    if (id !== nextId && !hasMeaninglessId(id)) return false;
    return (
      size - header <= dataSize &&
      total + size - header <= MAX_BYTES &&
      view.getUint16(at) === view.getUint16(first) && // version, header length, TOS
      view.getInt32(at + IPV4.fragment) === view.getInt32(first + IPV4.fragment) && // also TTL and protocol
      view.getInt32(at + IPV4.source) === view.getInt32(first + IPV4.source) &&
      view.getInt32(at + IPV4.destination) === view.getInt32(first + IPV4.destination) &&
      view.getInt32(at + IP) === view.getInt32(first + IP) && // both ports
      (view.getUint8(at + IPV4.protocol) === PROTOCOL_UDP || followsInStream(at))
    );
  }

  /** Packets that are never fragmented may have all the same ID (RFC 6864); the kernel gives them different ones. */
  const hasMeaninglessId = (id: number) =>
    id === view.getUint16(first + IPV4.id) && (view.getUint16(first + IPV4.fragment) & DONT_FRAGMENT) !== 0;

  function followsInStream(at: number): boolean {
    const [tcp, firstTcp] = [at + IP, first + IP];
    if (
      view.getInt32(tcp + TCP.sequence) !== nextSequence ||
      view.getInt32(tcp + TCP.acknowledgment) !== view.getInt32(firstTcp + TCP.acknowledgment) ||
      view.getUint16(tcp + TCP.window) !== view.getUint16(firstTcp + TCP.window) ||
      view.getUint16(tcp + TCP.urgent) !== view.getUint16(firstTcp + TCP.urgent)
    )
      return false;
    for (let option = TCP.minHeader; option < header - IP; option += 4) {
      if (view.getInt32(tcp + option) !== view.getInt32(firstTcp + option)) return false;
    }
    return true;
  }

  /** Reports whether the checksums of the packet, and of the first, are right. A first one that is wrong is joined by none. */
  function verified(at: number, size: number): boolean {
    if (!isVerified && !hasRightChecksum(first, firstSize)) {
      header = 0;
      return false;
    }
    isVerified = true;
    return hasRightChecksum(at, size);
  }

  function hasRightChecksum(at: number, size: number): boolean {
    const length = size - IP;
    const pseudo = pseudoHeaderSum(view, at, view.getUint8(at + IPV4.protocol), length);
    return folded(pseudo + sumOf(view, at + IP, length)) === 0xffff;
  }

  function flush(): void {
    if (packets === 0) return;
    arena.bytes.fill(0, vnet, vnet + VNET.size);
    if (packets > 1) completeHeaders();
    write(iovecs, packets + 1, packets, total + (packets - 1) * header);
    packets = 0;
  }

  function completeHeaders(): void {
    const protocol = view.getUint8(first + IPV4.protocol);
    const isTcp = protocol === PROTOCOL_TCP;
    const checksum = isTcp ? TCP.checksum : UDP.checksum;
    view.setUint16(first + IPV4.totalLength, total);
    setHeaderChecksum(view, first);
    if (!isTcp) view.setUint16(first + IP + UDP.length, total - IP);
    view.setUint16(first + IP + checksum, folded(pseudoHeaderSum(view, first, protocol, total - IP)));
    view.setUint8(vnet + VNET.flags, NEEDS_CSUM);
    view.setUint8(vnet + VNET.gsoType, isTcp ? GSO_TCPV4 : GSO_UDP_L4);
    view.setUint16(vnet + VNET.headerLength, header, true);
    view.setUint16(vnet + VNET.gsoSize, dataSize, true);
    view.setUint16(vnet + VNET.checksumStart, IP, true);
    view.setUint16(vnet + VNET.checksumOffset, checksum, true);
  }

  return { add, flush };
}
