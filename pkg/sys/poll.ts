/** Waits for a few descriptors (poll). For many, and again and again: poller.ts. */
import { timespec } from "./clock.ts";
import { call } from "./syscall.ts";

/** linux/poll.h */
export const POLLIN = 1;
export const POLLOUT = 4;

/** Waits until one of the descriptors is readable or its peer has closed. Returns their indexes, none after the timeout. */
export const waitReadable = (fds: readonly number[], timeoutMs: number | undefined): number[] =>
  poll(
    fds.map((fd) => [fd, POLLIN]),
    timeoutMs,
  );

/** Waits until one of the descriptors has one of its events, or an error. Returns their indexes, none after the timeout. */
export const waitReady = (waits: readonly (readonly [fd: number, events: number])[], timeoutMs: number): number[] =>
  poll(waits, timeoutMs);

/** Waits until the descriptor takes something, or its peer has closed. */
export function waitWritable(fd: number): void {
  poll([[fd, POLLOUT]], undefined);
}

function poll(fds: readonly (readonly [fd: number, events: number])[], timeoutMs: number | undefined): number[] {
  const polls = new DataView(new ArrayBuffer(8 * fds.length)); // struct pollfd: fd s32, events s16, revents s16
  fds.forEach(([fd, events], i) => {
    polls.setInt32(8 * i, fd, true);
    polls.setInt16(8 * i + 4, events, true);
  });
  const timeout = timeoutMs === undefined ? 0 : timespec(timeoutMs);
  call("ppoll", undefined, new Uint8Array(polls.buffer), fds.length, timeout, 0, 0);
  return fds.flatMap((_, i) => (polls.getInt16(8 * i + 6, true) !== 0 ? [i] : []));
}
