/**
 * Datagrams on their way to the kernel: many in one sendmmsg(2), and packets of one size to one peer in one message, which the kernel cuts into datagrams (UDP_SEGMENT,
 * udp(7)). Nothing is copied: a message points to the packets where they are.
 */
import { AF_INET } from "../../netlink/rtnetlink/family.ts";
import { type Arena, CMSG, IOVEC, MSGHDR, SOCKADDR_IN } from "./arena.ts";
import { MAX_PAYLOAD, MAX_SEGMENTS } from "./packet.ts";
import type { Peer } from "./peer-table.ts";
import { SOL_UDP, UDP_SEGMENT } from "./udp-socket.ts";

const MAX_MESSAGES = 64;
const IOVECS = 2 * MAX_SEGMENTS;

interface Message {
  peer: Peer;
  /** Of each packet but the last, which may be smaller. */
  packetSize: number;
  packets: number;
  bytes: number;
  /** A packet is one piece of memory, or two: a header, and a part of a super-packet's data. */
  pieces: 1 | 2;
  isOpen: boolean;
}

const noPeer: Peer = { address: 0, port: 0, pathMtu: 0, pathMtuReadAt: 0 };

/** Methods take and return offsets in the arena. */
export interface SendBatch {
  /** How many messages there are, and how much is in all of them. */
  readonly length: number;
  readonly bytes: number;
  /** Whether there may be no room for another packet: it has to be sent and cleared before. */
  readonly isFull: boolean;
  add(peer: Peer, at: number, size: number): void;
  /** Adds a packet of two pieces. */
  addPieces(peer: Peer, header: number, headerSize: number, data: number, dataSize: number): void;
  /** Returns the `struct mmsghdr` of a message; the others follow it. */
  headerOf(message: number): number;
  messageAt(message: number): Readonly<Message>;
  /** Returns the first piece of a message's packet. */
  packetAt(message: number, packet: number): { at: number; size: number };
  /** Makes a message one datagram with only that of its packets. */
  reduce(message: number, packet: number): void;
  clear(): void;
}

/** @param canCut Whether the kernel cuts messages; asked for each packet, since it may turn out that it does not. */
export function createSendBatch(arena: Arena, canCut: () => boolean): SendBatch {
  const { view } = arena;
  const headers = arena.reserve(MAX_MESSAGES * MSGHDR.size);
  const names = arena.reserve(MAX_MESSAGES * SOCKADDR_IN.size);
  const controls = arena.reserve(MAX_MESSAGES * CMSG.space);
  const iovecs = arena.reserve(MAX_MESSAGES * IOVECS * IOVEC.size);
  const messages: Message[] = [];
  let length = 0;
  let bytes = 0;

  const headerOf = (message: number) => headers + message * MSGHDR.size;
  const iovecOf = (message: number, piece: number) => iovecs + (message * IOVECS + piece) * IOVEC.size;

  for (let i = 0; i < MAX_MESSAGES; i++) {
    messages.push({ peer: noPeer, packetSize: 0, packets: 0, bytes: 0, pieces: 1, isOpen: false });
    const [name, control] = [names + i * SOCKADDR_IN.size, controls + i * CMSG.space];
    arena.setPointer(headerOf(i) + MSGHDR.name, name);
    arena.setPointer(headerOf(i) + MSGHDR.control, control);
    view.setUint32(headerOf(i) + MSGHDR.nameLength, SOCKADDR_IN.size, true);
    view.setUint16(name + SOCKADDR_IN.family, AF_INET, true);
    view.setUint32(control + CMSG.length, CMSG.data + 2, true);
    view.setInt32(control + CMSG.level, SOL_UDP, true);
    view.setInt32(control + CMSG.type, UDP_SEGMENT, true);
    for (let piece = 0; piece < IOVECS; piece++) arena.setPointer(iovecOf(i, piece) + IOVEC.base, 0);
  }

  /** Returns the message that the packet goes into, with the packet counted. */
  function messageFor(peer: Peer, size: number, pieces: 1 | 2): number {
    let i = length - 1;
    while (i >= 0 && messages[i]?.peer !== peer) i--; // the peer's last: its packets keep their order
    const last = messages[i];
    bytes += size;
    if (
      last?.isOpen &&
      last.pieces === pieces &&
      size <= last.packetSize &&
      last.bytes + size <= MAX_PAYLOAD &&
      canCut()
    ) {
      last.packets++;
      last.bytes += size;
      last.isOpen = size === last.packetSize && last.packets < MAX_SEGMENTS;
      return i;
    }
    const message = messages[length] as Message; // `isFull` was asked before
    message.peer = peer;
    message.packetSize = size;
    message.packets = 1;
    message.bytes = size;
    message.pieces = pieces;
    message.isOpen = true;
    const header = headerOf(length);
    arena.setPointer(header + MSGHDR.iovecs, iovecOf(length, 0));
    view.setUint16(names + length * SOCKADDR_IN.size + SOCKADDR_IN.port, peer.port);
    view.setInt32(names + length * SOCKADDR_IN.size + SOCKADDR_IN.address, peer.address);
    view.setUint16(controls + length * CMSG.space + CMSG.data, size, true);
    return length++;
  }

  function setPiece(message: number, piece: number, at: number, size: number): void {
    const iovec = iovecOf(message, piece);
    arena.movePointer(iovec + IOVEC.base, at);
    view.setUint32(iovec + IOVEC.length, size, true);
  }

  /** The counts in the header follow those of the message. */
  function setHeader(i: number): void {
    const { packets, pieces } = messages[i] as Message;
    view.setUint32(headerOf(i) + MSGHDR.iovecCount, packets * pieces, true);
    view.setUint32(headerOf(i) + MSGHDR.controlLength, packets > 1 ? CMSG.space : 0, true);
  }

  return {
    get length() {
      return length;
    },
    get bytes() {
      return bytes;
    },
    get isFull() {
      return length === MAX_MESSAGES;
    },
    add(peer, at, size) {
      const i = messageFor(peer, size, 1);
      setPiece(i, (messages[i] as Message).packets - 1, at, size);
      setHeader(i);
    },
    addPieces(peer, header, headerSize, data, dataSize) {
      const i = messageFor(peer, headerSize + dataSize, 2);
      const piece = 2 * (messages[i] as Message).packets - 2;
      setPiece(i, piece, header, headerSize);
      setPiece(i, piece + 1, data, dataSize);
      setHeader(i);
    },
    headerOf,
    messageAt: (i) => messages[i] as Message,
    packetAt(i, packet) {
      const iovec = iovecOf(i, packet * (messages[i] as Message).pieces);
      return {
        at: view.getUint32(iovec + IOVEC.base, true) - arena.low,
        size: view.getUint32(iovec + IOVEC.length, true),
      };
    },
    reduce(i, packet) {
      const { pieces } = messages[i] as Message;
      arena.setPointer(headerOf(i) + MSGHDR.iovecs, iovecOf(i, packet * pieces));
      view.setUint32(headerOf(i) + MSGHDR.iovecCount, pieces, true);
      view.setUint32(headerOf(i) + MSGHDR.controlLength, 0, true);
    },
    clear() {
      length = 0;
      bytes = 0;
    },
  };
}
