/** The socket functions that netlink needs. */
import { Errno, SystemError } from "./errno.ts";
import { noteOpened } from "./left-open.ts";
import { ask, call } from "./syscall.ts";

/** linux/socket.h, asm-generic/socket.h */
export const AF_NETLINK = 16;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOL_SOCKET = 1;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
const SOCK_CLOEXEC = 0o2000000;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

export function openSocket(domain: number, type: number, protocol: number): number {
  return noteOpened(call("socket", undefined, domain, type | SOCK_CLOEXEC, protocol));
}

export function bindSocket(fd: number, address: Uint8Array): void {
  call("bind", undefined, fd, address, address.length);
}

export function setSocketOption(fd: number, level: number, option: number, value: number): void {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  call("setsockopt", undefined, fd, level, option, bytes, bytes.length);
}

/** Sets an option that is only an improvement. @returns false when the kernel refuses. */
export function trySocketOption(fd: number, level: number, option: number, value: number): boolean {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  return ask("setsockopt", fd, level, option, bytes, bytes.length) === 0;
}

/** Returns the cookie of the socket's network namespace, which is unique until the next boot. 0 on kernels before 5.14. */
export function namespaceCookie(fd: number): bigint {
  const cookie = new BigUint64Array(1);
  const size = new Uint8Array(new Int32Array([8]).buffer);
  ask("getsockopt", fd, SOL_SOCKET, SO_NETNS_COOKIE, new Uint8Array(cookie.buffer), size);
  return cookie[0] ?? 0n;
}
const SO_NETNS_COOKIE = 71;

export function send(fd: number, data: Uint8Array): void {
  call("sendto", undefined, fd, data, data.length, 0, 0, 0);
}

/**
 * Receives one datagram, waiting for it.
 *
 * @returns A part of `buffer`, valid until that is used again.
 * @throws SystemError EMSGSIZE: it was larger than `buffer`; ENOBUFS: the kernel dropped messages.
 */
export function receive(fd: number, buffer: Uint8Array): Uint8Array {
  return received(call("recvfrom", undefined, fd, buffer, buffer.length, MSG_TRUNC, 0, 0), buffer);
}

/** Returns a datagram that has already arrived, undefined when there is none. */
export function receiveArrived(fd: number, buffer: Uint8Array): Uint8Array | undefined {
  const size = ask("recvfrom", fd, buffer, buffer.length, MSG_TRUNC | MSG_DONTWAIT, 0, 0);
  if (size === -Errno.EAGAIN) return undefined;
  if (size < 0) throw new SystemError("recvfrom", -size);
  return received(size, buffer);
}

function received(size: number, buffer: Uint8Array): Uint8Array {
  if (size > buffer.length) throw new SystemError("recvfrom", Errno.EMSGSIZE);
  return buffer.subarray(0, size);
}
