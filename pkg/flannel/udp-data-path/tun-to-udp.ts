/** From the TUN device to the peers. */
import { sumOf } from "../../ip/internet-checksum.ts";
import { Errno, SystemError } from "../../sys/errno.ts";
import { POLLIN, POLLOUT } from "../../sys/poll.ts";
import { ask } from "../../sys/syscall.ts";
import { MSGHDR } from "./arena.ts";
import { fragmentationNeeded, type IcmpError, netUnreachable, timeExceeded } from "./icmp.ts";
import { errno, libcRead, libcSendmmsg } from "./libc.ts";
import { DONT_FRAGMENT, decrementTtl, IPV4, OUTER_HEADERS, PROTOCOL_TCP, PROTOCOL_UDP, problemOf } from "./packet.ts";
import type { Peer } from "./peer-table.ts";
import { cutTcp, cutUdp, HEADER_SPACE, headersLengthOf } from "./segment.ts";
import { createSendBatch } from "./send-batch.ts";
import { MSG_DONTWAIT, pathMtuTo, setPathMtuDiscovery, socketAddress } from "./udp-socket.ts";
import { GSO_NONE, GSO_TCPV4, GSO_UDP_L4, NEEDS_CSUM, VNET } from "./vnet-header.ts";
import { createPathWorker, type WorkerEnd, type WorkerStart } from "./worker.ts";

const ARENA_BYTES = 1 << 20;
const MAX_PACKET = 65535;
/** What is read before it is sent: many small packets, and always room for another super-packet. */
const READ_BYTES = 3 * 65536;
/** A batch of so much is sent, though there may be more to read: what was read is still in the processor's cache. */
const ENOUGH_BYTES = 65536;
/** Room for the headers of a super-packet's packets; the kernel's smallest MSS is 48, which are 1,366 packets. */
const MAX_HEADERS = 2048;
/** How long the path MTU that the kernel has told is believed. */
const PATH_MTU_MS = 1000;

/** Carries packets until it is told to stop. */
export function carryTunToUdp(start: WorkerStart): WorkerEnd {
  const { tun, udp } = start;
  const vnetSize = start.hasVnetHeader ? VNET.size : 0;
  const worker = createPathWorker(start, ARENA_BYTES);
  const { arena, table, count } = worker;
  const { view, bytes } = arena;
  let canSegment = start.canSegment;
  const batch = createSendBatch(arena, () => canSegment);
  const packets = arena.reserve(READ_BYTES);
  const headers = arena.reserve(MAX_HEADERS * HEADER_SPACE);
  let used = 0;
  let headersUsed = 0;

  while (worker.wait(tun, POLLIN)) {
    while (batch.bytes < ENOUGH_BYTES && used < READ_BYTES - MAX_PACKET - VNET.size) {
      const size = libcRead(tun, arena.address + packets + used, MAX_PACKET + vnetSize);
      if (size < 0) {
        const error = errno();
        if (error === Errno.EAGAIN) break;
        if (error === Errno.EBADFD) return "device gone";
        throw new SystemError("read", error, "TUN device");
      }
      admit(packets + used, size);
      used = (used + size + 63) & ~63;
    }
    send();
    used = 0;
    headersUsed = 0;
  }
  return "stopped";

  /** Puts what was read into the batch, or drops it. */
  function admit(vnet: number, sizeRead: number): void {
    const [at, size] = [vnet + vnetSize, sizeRead - vnetSize];
    const problem = problemOf(view, at, size);
    if (problem !== undefined) {
      count(problem === "NotIPv4" ? "droppedNotIPv4" : "droppedMalformed", 1);
      return;
    }
    const peer = table.find(view.getInt32(at + IPV4.destination));
    if (peer === undefined) {
      count("droppedNoRoute", 1);
      answer(netUnreachable, at, size);
      return;
    }
    const gsoType = vnetSize === 0 ? GSO_NONE : view.getUint8(vnet + VNET.gsoType);
    const header = gsoType === GSO_NONE ? 0 : headersLengthOf(view, at, size);
    const dataSize = gsoType === GSO_NONE ? 0 : view.getUint16(vnet + VNET.gsoSize, true);
    if (!fitsPath(peer, gsoType === GSO_NONE ? size : header + dataSize, at)) {
      answerTooLarge(peer, at, size);
      return;
    }
    if (!decrementTtl(view, at)) {
      count("droppedTtlExpired", 1);
      answer(timeExceeded, at, size);
      return;
    }
    if (gsoType === GSO_NONE) {
      if (vnetSize !== 0 && (view.getUint8(vnet) & NEEDS_CSUM) !== 0) completeChecksum(vnet, at, size);
      addPacket(peer, at, size);
    } else cut(peer, gsoType, at, size, header, dataSize);
  }

  function addPacket(peer: Peer, at: number, size: number): void {
    if (batch.isFull) send();
    batch.add(peer, at, size);
  }

  function cut(peer: Peer, gsoType: number, at: number, size: number, header: number, dataSize: number): void {
    const pieces = dataSize === 0 ? MAX_HEADERS + 1 : Math.ceil((size - header) / dataSize);
    const protocol = view.getUint8(at + IPV4.protocol);
    const cutter =
      gsoType === GSO_TCPV4 && protocol === PROTOCOL_TCP
        ? cutTcp
        : gsoType === GSO_UDP_L4 && protocol === PROTOCOL_UDP
          ? cutUdp
          : undefined;
    if (cutter === undefined || header === 0 || pieces > MAX_HEADERS) {
      count("droppedMalformed", 1);
      return;
    }
    if (headersUsed + pieces > MAX_HEADERS) {
      send();
      headersUsed = 0;
    }
    cutter(view, bytes, at, size, dataSize, headers + headersUsed * HEADER_SPACE, (to, headerSize, data, length) => {
      if (batch.isFull) send();
      batch.addPieces(peer, to, headerSize, data, length);
    });
    headersUsed += pieces;
  }

  /** Computes the checksum that was left to the network card. The field holds the sum of the pseudo-header. */
  function completeChecksum(vnet: number, at: number, size: number): void {
    const from = view.getUint16(vnet + VNET.checksumStart, true);
    const field = from + view.getUint16(vnet + VNET.checksumOffset, true);
    if (field + 2 > size) return; // the receiver drops it
    const sum = ~sumOf(view, at + from, size - from) & 0xffff;
    view.setUint16(at + field, sum === 0 ? 0xffff : sum); // 0 would say, in UDP, that there is none
  }

  /** Asks the kernel for the path MTU again when what it has told is old. Packets that may be fragmented fit always. */
  function fitsPath(peer: Peer, size: number, at: number): boolean {
    if (size + OUTER_HEADERS <= peer.pathMtu) return true;
    if ((view.getUint16(at + IPV4.fragment) & DONT_FRAGMENT) === 0) return true;
    if (performance.now() - peer.pathMtuReadAt > PATH_MTU_MS) learnPathMtu(peer);
    return size + OUTER_HEADERS <= peer.pathMtu;
  }

  function learnPathMtu(peer: Peer): void {
    peer.pathMtu = pathMtuTo(peer.address, peer.port) ?? peer.pathMtu;
    peer.pathMtuReadAt = performance.now();
  }

  function answerTooLarge(peer: Peer, at: number, size: number): void {
    count("droppedOverPathMtu", 1);
    answer(fragmentationNeeded(peer.pathMtu - OUTER_HEADERS), at, size);
  }

  /** Through the kernel's routes: from the TUN device it would not take a packet that has its own address as source. */
  function answer(error: IcmpError, at: number, size: number): void {
    const to = socketAddress(view.getInt32(at + IPV4.source), 0);
    worker.answer(error, at, size, (icmp) => ask("sendto", start.raw, icmp, icmp.length, MSG_DONTWAIT, to, to.length));
  }

  function send(): void {
    for (let i = 0; i < batch.length; ) {
      const sent = libcSendmmsg(udp, arena.address + batch.headerOf(i), batch.length - i, 0);
      if (sent > 0) {
        for (const end = i + sent; i < end; i++) countSent(batch.messageAt(i).packets, batch.messageAt(i).bytes);
      } else if (!shouldRepeat()) {
        sendRefused(i, errno());
        i++;
      }
    }
    batch.clear();
  }

  function countSent(packetCount: number, byteCount: number): void {
    count("sentPackets", packetCount);
    count("sentBytes", byteCount);
  }

  /** Waits while the socket's buffer is full. @returns whether the call is to be made again */
  function shouldRepeat(): boolean {
    return errno() === Errno.EINTR || (errno() === Errno.EAGAIN && worker.wait(udp, POLLOUT));
  }

  /** Does with each packet of a refused message what can be done with it. */
  function sendRefused(message: number, error: number): void {
    const { peer, packetSize, packets } = batch.messageAt(message);
    const isTooLarge = error === Errno.EMSGSIZE || error === Errno.EINVAL;
    if (isTooLarge) learnPathMtu(peer);
    const exceedsPath = isTooLarge && packetSize + OUTER_HEADERS > peer.pathMtu;
    if (packets === 1 && !exceedsPath) {
      count("droppedSendRefused", 1);
      return;
    }
    if (error === Errno.EIO) canSegment = false; // the path has no checksum offload, or goes through IPsec: udp_send_skb
    for (let i = 0; i < packets; i++) {
      const { at, size } = batch.packetAt(message, i);
      if (!fitsPath(peer, view.getUint16(at + IPV4.totalLength), at)) answerTooLarge(peer, at, size);
      else sendAlone(message, i, exceedsPath);
    }
  }

  function sendAlone(message: number, packet: number, mayFragment: boolean): void {
    batch.reduce(message, packet);
    if (mayFragment) setPathMtuDiscovery(udp, "fragment");
    let sent: number;
    do sent = libcSendmmsg(udp, arena.address + batch.headerOf(message), 1, 0);
    while (sent < 0 && shouldRepeat());
    if (sent < 0) count("droppedSendRefused", 1);
    else countSent(1, view.getUint32(batch.headerOf(message) + MSGHDR.transferred, true));
    if (mayFragment) setPathMtuDiscovery(udp, "only whole");
  }
}
