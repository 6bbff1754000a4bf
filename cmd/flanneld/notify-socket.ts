/** Sockets of the unix family, which Node offers for streams only, and not without waiting. Addresses: unix(7). */
import { closeFile } from "../../pkg/sys/file.ts";
import { openSocket, SOCK_DGRAM } from "../../pkg/sys/socket.ts";
import { ask } from "../../pkg/sys/syscall.ts";
import { encode } from "../../pkg/sys/text.ts";

/** linux/socket.h */
export const AF_UNIX = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Bytes of sun_path. */
const LONGEST_NAME = 108;

/**
 * struct sockaddr_un; an `@` in front stands for a name that is in no file system. Neither has a NUL at its end: systemd's abstract names
 * would be others with it.
 *
 * @returns undefined: the path is too long
 */
export function unixAddress(path: string): Uint8Array | undefined {
  const name = encode(path.replace(/^@/, "\0"));
  return name.length > LONGEST_NAME ? undefined : Uint8Array.of(AF_UNIX, 0, ...name);
}

/**
 * @returns -errno when it was not sent
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

/** asm-generic/errno.h: the socket is there, and of another type than ours. */
const EPROTOTYPE = 91;

/** Whether some process answers at a stream socket. It does not notice: the kernel says so of an empty datagram. */
export function hasListener(path: string): boolean {
  const address = unixAddress(path);
  return address !== undefined && sendDatagram(address, new Uint8Array()) === -EPROTOTYPE;
}
