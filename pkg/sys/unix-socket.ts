/** Unix stream sockets, named by a path, or by a name after a NUL without a file (abstract). */
import { Errno, isErrno, SystemError } from "./errno.ts";
import { closeFile } from "./file.ts";
import { bindSocket, openSocket } from "./socket.ts";
import { ask, call } from "./syscall.ts";
import { encode } from "./text.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const BACKLOG = 4096; // the kernel cuts it to net.core.somaxconn
/** linux/un.h: size of sun_path without the NUL at its end. */
const LONGEST_PATH = 107;

/** Connects to a listening socket. @throws SystemError ENOENT, ECONNREFUSED: nothing listens */
export function connectUnix(path: string): number {
  const fd = openSocket(AF_UNIX, SOCK_STREAM, 0);
  const address = addressOf(path);
  const result = ask("connect", fd, address, address.length);
  if (result === 0) return fd;
  closeFile(fd);
  throw new SystemError("connect", -result, path);
}

/** Listens on a socket that its owner alone may connect to, whatever the umask. @throws SystemError EADDRINUSE: a file of that name exists */
export function listenUnix(path: string): number {
  const fd = openSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  try {
    call("fchmod", path, fd, 0o600); // bind makes the file with the socket's own mode, less the umask
    bindSocket(fd, addressOf(path));
    call("listen", path, fd, BACKLOG);
    return fd;
  } catch (error) {
    closeFile(fd);
    throw error instanceof SystemError ? new SystemError(error.call, error.errno, path) : error;
  }
}

/** Whether a process listens on the socket of that name. */
export function isListenedTo(path: string): boolean {
  try {
    closeFile(connectUnix(path));
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ECONNREFUSED", "ENOTSOCK", "ENOTDIR")) return false;
    throw error;
  }
}

/** Accepts the next connection, as a non-blocking descriptor; undefined when there is none. */
export function acceptConnection(listener: number): number | undefined {
  const fd = ask("accept4", listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd === -Errno.EAGAIN || fd === -Errno.ECONNABORTED) return undefined;
  if (fd < 0) throw new SystemError("accept4", -fd);
  return fd;
}

/** Sets a descriptor that another process passed to non-blocking and close-on-exec, like our own. */
export function neverWaiting(fd: number): number {
  call("fcntl", undefined, fd, F_SETFL, SOCK_NONBLOCK);
  call("fcntl", undefined, fd, F_SETFD, FD_CLOEXEC);
  return fd;
}
const F_SETFD = 2;
const F_SETFL = 4;
const FD_CLOEXEC = 1;

/** Sends all data. @throws SystemError EPIPE, ECONNRESET: the peer has closed; EAGAIN: it does not read, and `wait` is "at once" */
export function sendStream(fd: number, data: Uint8Array, wait: "wait" | "at once"): void {
  const flags = MSG_NOSIGNAL | (wait === "at once" ? MSG_DONTWAIT : 0);
  for (let from = 0; from < data.length; )
    from += call("sendto", undefined, fd, data.subarray(from), data.length - from, flags, 0, 0);
}

/** Returns data that has arrived: empty at the end of the stream, undefined when there is none yet. */
export function receiveStream(fd: number, buffer: Uint8Array): Uint8Array | undefined {
  const size = ask("recvfrom", fd, buffer, buffer.length, MSG_DONTWAIT, 0, 0);
  if (size === -Errno.EAGAIN) return undefined;
  if (size < 0) throw new SystemError("recvfrom", -size);
  return buffer.slice(0, size);
}

function addressOf(path: string): Uint8Array {
  const name = encode(path);
  if (name.length > LONGEST_PATH || name.includes(0, 1)) throw new SystemError("connect", Errno.ENAMETOOLONG, path);
  const address = new Uint8Array(2 + name.length + (name[0] === 0 ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return address;
}
