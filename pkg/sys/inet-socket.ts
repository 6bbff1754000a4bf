/** UDP and TCP sockets that never wait, for a program that waits for many of them at once. */
import { Errno, SystemError } from "./errno.ts";
import { closeFile } from "./file.ts";
import { openSocket, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET, setSocketOption } from "./socket.ts";
import { ask, call } from "./syscall.ts";

/** linux/socket.h, asm-generic/socket.h, linux/in.h, linux/in6.h; the same on both architectures. */
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SO_REUSEADDR = 2;
const SO_TYPE = 3;
const SO_ERROR = 4;
const SO_ACCEPTCONN = 30;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_FREEBIND = 15;
const IPV6_V6ONLY = 26;
const IPV6_FREEBIND = 78;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** linux/sockios.h: a descriptor of the network namespace that a socket belongs to. */
const SIOCGSKNS = 0x894c;
/** The longest socket address that a socket of these families has: struct sockaddr_in6. */
const SOCKADDR_SIZE = 28;

/** Address and port. */
export interface Endpoint {
  /** 4 bytes or 16. */
  address: Uint8Array;
  port: number;
}

/** Opens a UDP socket bound to an address, which need not exist yet. @throws SystemError EADDRINUSE: another socket has the port */
export function bindUdp(local: Endpoint): number {
  return opened(local, SOCK_DGRAM, (fd) => bind(fd, local));
}

/** Listens for TCP at an address, which need not exist yet. @throws SystemError EADDRINUSE: another socket has the port */
export function listenTcp(local: Endpoint, backlog: number): number {
  return opened(local, SOCK_STREAM, (fd) => {
    setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1); // connections of an earlier listener may still wait for their end
    bind(fd, local);
    call("listen", undefined, fd, backlog);
  });
}

/** Opens a UDP socket that sends to this endpoint, from a random port, and receives from it alone. */
export const connectUdp = (remote: Endpoint): number => opened(remote, SOCK_DGRAM, (fd) => connect(fd, remote));

/** Begins a TCP connection: the socket becomes writable when it is there, or has failed, see takeSocketError. */
export const connectTcp = (remote: Endpoint): number => opened(remote, SOCK_STREAM, (fd) => connect(fd, remote));

/**
 * Opens a raw socket for ICMP with one address: it receives from that one alone, and an ICMP error about what it sent is the result of the
 * next read. Needs CAP_NET_RAW.
 */
export function connectIcmp(address: Uint8Array): number {
  const isIPv4 = address.length === 4;
  const fd = openSocket(isIPv4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_NONBLOCK, isIPv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
  try {
    if (isIPv4) setSocketOption(fd, IPPROTO_IP, IP_RECVERR, 1);
    else setSocketOption(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    connect(fd, { address, port: 0 });
    return fd;
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const IP_RECVERR = 11;
const IPV6_RECVERR = 25;

function opened({ address }: Endpoint, type: number, prepare: (fd: number) => void): number {
  const fd = openSocket(address.length === 4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK, 0);
  try {
    prepare(fd);
    return fd;
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

function bind(fd: number, local: Endpoint): void {
  if (local.address.length === 4) setSocketOption(fd, IPPROTO_IP, IP_FREEBIND, 1);
  else {
    setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    setSocketOption(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
  }
  const address = encodeEndpoint(local);
  call("bind", undefined, fd, address, address.length);
}

function connect(fd: number, remote: Endpoint): void {
  const address = encodeEndpoint(remote);
  const result = ask("connect", fd, address, address.length);
  if (result < 0 && result !== -Errno.EINPROGRESS) throw new SystemError("connect", -result);
}

/** Encodes struct sockaddr_in or sockaddr_in6. */
function encodeEndpoint({ address, port }: Endpoint): Uint8Array {
  const isIPv4 = address.length === 4;
  const bytes = new Uint8Array(isIPv4 ? 16 : SOCKADDR_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, isIPv4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(address, isIPv4 ? 4 : 8);
  return bytes;
}

/** Returns the address and port that a socket is bound to; undefined: it is not one of IPv4 or IPv6. */
export const localEndpoint = (fd: number): Endpoint | undefined => endpointOf(fd, "getsockname");

/** Returns the address and port that a connection is with; undefined: it has ended. */
export const remoteEndpoint = (fd: number): Endpoint | undefined => endpointOf(fd, "getpeername");

function endpointOf(fd: number, call: "getsockname" | "getpeername"): Endpoint | undefined {
  const bytes = new Uint8Array(128);
  const length = new Uint8Array(new Int32Array([bytes.length]).buffer);
  return ask(call, fd, bytes, length) < 0 ? undefined : decodeEndpoint(bytes);
}

/** Decodes a socket address; undefined: it is not one of IPv4 or IPv6. */
export function decodeEndpoint(bytes: Uint8Array): Endpoint | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  return { address: family === AF_INET ? bytes.slice(4, 8) : bytes.slice(8, 24), port: view.getUint16(2) };
}

/** Opens the network namespace that a socket belongs to. @throws SystemError EPERM: without CAP_NET_ADMIN in it */
export const openNamespaceOf = (fd: number): number => call("ioctl", undefined, fd, SIOCGSKNS, 0);

/** Returns what a socket is there for: it receives datagrams, or accepts connections, or is a connection. */
export function roleOf(fd: number): "datagrams" | "listener" | "connection" {
  if (intOption(fd, SO_TYPE) === SOCK_DGRAM) return "datagrams";
  return intOption(fd, SO_ACCEPTCONN) === 1 ? "listener" : "connection";
}

/** Takes a connection's error: 0 when there is none. */
export const takeSocketError = (fd: number): number => intOption(fd, SO_ERROR);

function intOption(fd: number, option: number): number {
  const value = new Int32Array(1);
  const size = new Uint8Array(new Int32Array([4]).buffer);
  ask("getsockopt", fd, SOL_SOCKET, option, new Uint8Array(value.buffer), size);
  return value[0] ?? 0;
}

/** A datagram, and the socket address that it is from. */
export interface Datagram {
  /** Valid until the buffer is used again. */
  data: Uint8Array;
  from: Uint8Array;
}

/** Receives a datagram that has arrived. @returns undefined: there is none; its data is empty when it is larger than the buffer */
export function receiveFrom(fd: number, buffer: Uint8Array): Datagram | undefined {
  const from = new Uint8Array(SOCKADDR_SIZE);
  const length = new Int32Array([from.length]);
  const size = ask(
    "recvfrom",
    fd,
    buffer,
    buffer.length,
    MSG_DONTWAIT | MSG_TRUNC,
    from,
    new Uint8Array(length.buffer),
  );
  if (size === -Errno.EAGAIN) return undefined;
  if (size < 0) throw new SystemError("recvfrom", -size);
  return { data: buffer.subarray(0, size > buffer.length ? 0 : size), from: from.subarray(0, length[0]) };
}

/** Sends a datagram to a socket address. One that cannot be sent is lost, as on a network. */
export function sendTo(fd: number, data: Uint8Array, to: Uint8Array): void {
  ask("sendto", fd, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, to, to.length);
}

/** Sends as much as fits. @returns how many bytes; negative: -errno, of which EAGAIN means none at present */
export const sendSome = (fd: number, data: Uint8Array): number =>
  ask("sendto", fd, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
