/** From the peers to the TUN device. */
import { Errno, SystemError } from "../../sys/errno.ts";
import { POLLIN } from "../../sys/poll.ts";
import { ask } from "../../sys/syscall.ts";
import { CMSG, IOVEC, MSGHDR, SOCKADDR_IN } from "./arena.ts";
import { timeExceeded } from "./icmp.ts";
import { createJoiner } from "./join.ts";
import { errno, libcRecvmmsg, libcWrite, libcWritev } from "./libc.ts";
import { decrementTtl, IPV4, isHeaderIntact, problemOf } from "./packet.ts";
import { MSG_DONTWAIT, socketAddress } from "./udp-socket.ts";
import { createPathWorker, type WorkerEnd, type WorkerStart } from "./worker.ts";

const ARENA_BYTES = 1 << 20;
/** Super-datagrams that are received in one call. */
const MESSAGES = 8;
const MESSAGE_BYTES = 65536;

/** Carries packets until it is told to stop. */
export function carryUdpToTun(start: WorkerStart): WorkerEnd {
  const { tun, udp } = start;
  const worker = createPathWorker(start, ARENA_BYTES);
  const { arena, table, count } = worker;
  const { view } = arena;
  const headers = arena.reserve(MESSAGES * MSGHDR.size);
  const names = arena.reserve(MESSAGES * SOCKADDR_IN.size);
  const iovecs = arena.reserve(MESSAGES * IOVEC.size);
  const controls = arena.reserve(MESSAGES * CMSG.space);
  const packets = arena.reserve(MESSAGES * MESSAGE_BYTES);
  const joiner = start.hasVnetHeader ? createJoiner(arena, start.hasUdpOffload, writePieces) : undefined;
  let isDeviceGone = false;
  let receivedPackets = 0;
  let receivedBytes = 0;

  for (let i = 0; i < MESSAGES; i++) {
    const header = headers + i * MSGHDR.size;
    arena.setPointer(header + MSGHDR.name, names + i * SOCKADDR_IN.size);
    arena.setPointer(header + MSGHDR.iovecs, iovecs + i * IOVEC.size);
    arena.setPointer(header + MSGHDR.control, controls + i * CMSG.space);
    view.setUint32(header + MSGHDR.iovecCount, 1, true);
    arena.setPointer(iovecs + i * IOVEC.size + IOVEC.base, packets + i * MESSAGE_BYTES);
    view.setUint32(iovecs + i * IOVEC.size + IOVEC.length, MESSAGE_BYTES, true);
    prepare(header);
  }

  while (!isDeviceGone && worker.wait(udp, POLLIN)) {
    const received = libcRecvmmsg(udp, arena.address + headers, MESSAGES, MSG_DONTWAIT, 0);
    if (received < 0) {
      if (REPEATED.has(errno())) continue;
      throw new SystemError("recvmmsg", errno());
    }
    for (let i = 0; i < received; i++) takeMessage(i);
    joiner?.flush();
    count("receivedPackets", receivedPackets);
    count("receivedBytes", receivedBytes);
    receivedPackets = 0;
    receivedBytes = 0;
  }
  return isDeviceGone ? "device gone" : "stopped";

  /** What the kernel overwrites in each call. */
  function prepare(header: number): void {
    view.setUint32(header + MSGHDR.nameLength, SOCKADDR_IN.size, true);
    view.setUint32(header + MSGHDR.controlLength, CMSG.space, true);
  }

  /** Takes the datagrams of a message, which are of one sender and, but for the last, of one size. */
  function takeMessage(i: number): void {
    const [header, name, control] = [
      headers + i * MSGHDR.size,
      names + i * SOCKADDR_IN.size,
      controls + i * CMSG.space,
    ];
    const address = view.getInt32(name + SOCKADDR_IN.address);
    const port = view.getUint16(name + SOCKADDR_IN.port);
    const size = view.getUint32(header + MSGHDR.transferred, true);
    const isJoined = view.getUint32(header + MSGHDR.controlLength, true) > CMSG.data; // UDP_GRO is the only option
    const each = isJoined ? view.getUint32(control + CMSG.data, true) : size;
    prepare(header);
    if (!table.has(address, port)) {
      count("refusedNoPeer", each === 0 ? 1 : Math.ceil(size / each));
      return;
    }
    const first = packets + i * MESSAGE_BYTES;
    if (size === 0) {
      count("refusedTruncated", 1);
      return;
    }
    for (let from = 0; from < size; from += each) takePacket(first + from, Math.min(each, size - from), address, port);
  }

  function takePacket(at: number, size: number, address: number, port: number): void {
    const problem = problemOf(view, at, size);
    if (problem !== undefined) {
      count(`refused${problem}`, 1);
      return;
    }
    const sender = table.find(view.getInt32(at + IPV4.source));
    if (sender === undefined || sender.address !== address || sender.port !== port) {
      count("refusedSource", 1);
      return;
    }
    if (!table.isOwn(view.getInt32(at + IPV4.destination))) {
      count("refusedDestination", 1);
      return;
    }
    if (!isHeaderIntact(view, at)) {
      count("refusedMalformed", 1);
      return;
    }
    if (!decrementTtl(view, at)) {
      count("refusedTtlExpired", 1);
      answerExpired(at, size, address, port);
      return;
    }
    if (joiner === undefined) written(libcWrite(tun, arena.address + at, size), 1, size);
    else joiner.add(at, size);
  }

  function writePieces(pieces: number, pieceCount: number, packetCount: number, byteCount: number): void {
    written(libcWritev(tun, arena.address + pieces, pieceCount), packetCount, byteCount);
  }

  function written(result: number, packetCount: number, byteCount: number): void {
    if (result >= 0) {
      receivedPackets += packetCount;
      receivedBytes += byteCount;
      return;
    }
    if (errno() === Errno.EBADFD) isDeviceGone = true;
    count("refusedByDevice", packetCount);
  }

  /** The packet's source is behind the peer that sent it. */
  function answerExpired(at: number, size: number, address: number, port: number): void {
    const to = socketAddress(address, port);
    worker.answer(timeExceeded, at, size, (icmp) => ask("sendto", udp, icmp, icmp.length, MSG_DONTWAIT, to, to.length));
  }
}

/** Nothing is there after all; or an ICMP error that answers an earlier datagram. */
const REPEATED: ReadonlySet<number> = new Set([
  Errno.EAGAIN,
  Errno.EINTR,
  Errno.ECONNREFUSED,
  Errno.EHOSTUNREACH,
  Errno.ENETUNREACH,
]);
