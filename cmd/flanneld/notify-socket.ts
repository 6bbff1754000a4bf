/** Datagrams over unix sockets, without waiting: Node has stream sockets only, and only asynchronous ones. Addresses: unix(7). */
import { closeFile } from "../../pkg/sys/file.ts";
import { openSocket, SOCK_DGRAM } from "../../pkg/sys/socket.ts";
import { ask } from "../../pkg/sys/syscall.ts";
import { encode } from "../../pkg/sys/text.ts";

/** linux/socket.h */
export const AF_UNIX = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** The size of sun_path in bytes. */
const LONGEST_NAME = 108;

/**
 * Makes a struct sockaddr_un; a leading `@` stands for an abstract name. Neither form has a terminating NUL, which would be part of
 * an abstract name.
 *
 * @returns undefined: the path is too long
 */
export function unixAddress(path: string): Uint8Array | undefined {
  const name = encode(path.replace(/^@/, "\0"));
  return name.length > LONGEST_NAME ? undefined : Uint8Array.of(AF_UNIX, 0, ...name);
}

/**
 * @returns -errno if it was not sent
 * @throws SystemError EMFILE, ENFILE: no socket can be opened for it
 */
export function sendDatagram(address: Uint8Array, data: Uint8Array): number {
  const fd = openSocket(AF_UNIX, SOCK_DGRAM, 0);
  try {
    return ask("sendto", fd, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
  } finally {
    closeFile(fd);
  }
}

/** asm-generic/errno.h: the socket exists, and is of another type than ours. */
const EPROTOTYPE = 91;

/** Reports whether a process listens on a stream socket, by the kernel's error for an empty datagram; the process does not notice. */
export function hasListener(path: string): boolean {
  const address = unixAddress(path);
  return address !== undefined && sendDatagram(address, new Uint8Array()) === -EPROTOTYPE;
}
