/** Packets of one interface below IP (packet(7)), without link-layer headers: for protocols that run before there is an address. */
import { native } from "#native";
import { Errno, SystemError } from "./errno.ts";
import { closeFile } from "./file.ts";
import { openSocket, SOCK_DGRAM, SOL_SOCKET } from "./socket.ts";
import { ask, call } from "./syscall.ts";

const AF_PACKET = 17;
const SO_ATTACH_FILTER = 26;
const MSG_DONTWAIT = 0x40;
const SOCKADDR_LL_SIZE = 20;
/** linux/if_ether.h */
export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;

/** An instruction of classic BPF, linux/filter.h: struct sock_filter. */
export type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, operand: number];

/** The destination of a packet. */
export interface PacketAddress {
  /** Index of the interface. */
  index: number;
  /** ETH_P_* */
  protocol: number;
  mac: Uint8Array;
}

/** Opens a socket for sending only: no packet that the interface receives wakes it. */
export const openSendingSocket = (): number => openSocket(AF_PACKET, SOCK_DGRAM, 0);

/**
 * Opens a socket that also receives the packets accepted by the filter.
 *
 * It is made without a protocol and bound last, so that it receives nothing before the filter is attached, and binding does not
 * wait for a grace period of the kernel.
 */
export function openPacketSocket(index: number, protocol: number, filter: readonly Instruction[]): number {
  const fd = openSendingSocket();
  try {
    attachFilter(fd, filter);
    const address = addressOf({ index, protocol, mac: new Uint8Array(0) });
    call("bind", undefined, fd, address, address.length);
    return fd;
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

export function sendPacket(fd: number, to: PacketAddress, packet: Uint8Array): void {
  const address = addressOf(to);
  call("sendto", undefined, fd, packet, packet.length, MSG_DONTWAIT, address, address.length);
}

/** Returns a packet that has arrived, valid until `buffer` is used again, and its source MAC; undefined when there is none. */
export function receivePacket(fd: number, buffer: Uint8Array): { packet: Uint8Array; mac: Uint8Array } | undefined {
  const from = new Uint8Array(SOCKADDR_LL_SIZE);
  const length = new Uint8Array(new Int32Array([from.length]).buffer);
  const size = ask("recvfrom", fd, buffer, buffer.length, MSG_DONTWAIT, from, length);
  if (size === -Errno.EAGAIN) return undefined;
  if (size < 0) throw new SystemError("recvfrom", -size);
  return { packet: buffer.subarray(0, size), mac: from.slice(12, 12 + Math.min(from[11] ?? 0, 8)) };
}

/** Encodes linux/if_packet.h: struct sockaddr_ll. */
function addressOf({ index, protocol, mac }: PacketAddress): Uint8Array {
  const address = new DataView(new ArrayBuffer(SOCKADDR_LL_SIZE));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, protocol, false);
  address.setInt32(4, index, true);
  address.setUint8(11, mac.length);
  new Uint8Array(address.buffer).set(mac, 12);
  return new Uint8Array(address.buffer);
}

/** Attaches a filter. linux/filter.h: struct sock_fprog, which points to an array of struct sock_filter. */
function attachFilter(fd: number, filter: readonly Instruction[]): void {
  const code = new DataView(new ArrayBuffer(8 * filter.length));
  filter.forEach(([operation, jumpTrue, jumpFalse, operand], i) => {
    code.setUint16(8 * i, operation, true);
    code.setUint8(8 * i + 2, jumpTrue);
    code.setUint8(8 * i + 3, jumpFalse);
    code.setUint32(8 * i + 4, operand, true);
  });
  const instructions = new Uint8Array(code.buffer);
  const program = new DataView(new ArrayBuffer(16));
  program.setUint16(0, filter.length, true);
  program.setBigUint64(8, BigInt(native.address(instructions)), true);
  call("setsockopt", "SO_ATTACH_FILTER", fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(program.buffer), 16);
  instructions.fill(0); // this use keeps the memory alive until here; the kernel has its own copy now
}
