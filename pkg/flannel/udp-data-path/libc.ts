/**
 * The system calls that carry packets, without what `pkg/sys/syscall.ts` does for convenience: memory is an address, each function has its own signature (a call
 * takes 0.25 us instead of 0.5), and an error is -1 with `errno()`.
 */
import koffi from "koffi";

const libc = koffi.load("libc.so.6");

export const libcRead: (fd: number, address: number, size: number) => number = libc.func(
  "long read(int fd, intptr_t address, size_t size)",
);
export const libcWrite: (fd: number, address: number, size: number) => number = libc.func(
  "long write(int fd, intptr_t address, size_t size)",
);
export const libcWritev: (fd: number, iovecs: number, count: number) => number = libc.func(
  "long writev(int fd, intptr_t iovecs, int count)",
);
export const libcPoll: (fds: number, count: number, timeoutMs: number) => number = libc.func(
  "int poll(intptr_t fds, unsigned long count, int timeoutMs)",
);
export const libcSendmmsg: (fd: number, messages: number, count: number, flags: number) => number = libc.func(
  "int sendmmsg(int fd, intptr_t messages, unsigned int count, int flags)",
);
export const libcRecvmmsg: (fd: number, messages: number, count: number, flags: number, timeout: number) => number =
  libc.func("int recvmmsg(int fd, intptr_t messages, unsigned int count, int flags, intptr_t timeout)");

export const errno = (): number => koffi.errno();

/** Returns where the buffer lies in memory. It stays there, if it is larger than 64 bytes, for as long as it is referred to. */
export const addressOf = (buffer: ArrayBuffer): number => Number(koffi.address(new Uint8Array(buffer)));
