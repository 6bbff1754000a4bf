/**
 * Waits for descriptors without blocking Node, which refuses to watch netlink sockets itself: one thread of its pool sleeps in
 * poll(2) for all of them. Node only.
 *
 * Rejected: a worker thread (9 MB), a timer that reads (1.3 % of a core at ten times a second).
 */
import koffi from "koffi";
import { closeFile } from "../../sys/file.ts";
import { call } from "../../sys/syscall.ts";

const poll = koffi.load("libc.so.6").func("int poll(void *fds, unsigned long count, int timeoutMs)");

/** linux/poll.h */
const POLLIN = 1;
const POLLFD_SIZE = 8; // fd s32, events s16, revents s16
/** linux/eventfd.h */
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

const callbacks = new Map<number, () => void>();
/** An eventfd that wakes the sleeping thread, while there is one. */
let alarm: number | undefined;

/**
 * Calls `readable` whenever the descriptor is readable, until the returned function is called; the descriptor may be closed after that.
 * `readable` must read all that is available.
 */
export function onReadable(fd: number, readable: () => void): () => void {
  callbacks.set(fd, readable);
  if (alarm === undefined) start();
  else wake();
  return () => {
    if (callbacks.get(fd) !== readable) return;
    callbacks.delete(fd);
    wake();
  };
}

function start(): void {
  alarm = call("eventfd2", undefined, 0, EFD_NONBLOCK | EFD_CLOEXEC);
  process.once("exit", wake); // a thread that still sleeps keeps the process from ending
  sleep(alarm);
}

function wake(): void {
  if (alarm !== undefined) call("write", undefined, alarm, new Uint8Array(new BigUint64Array([1n]).buffer), 8);
}

function sleep(alarmFd: number): void {
  const fds = [alarmFd, ...callbacks.keys()];
  const polls = Buffer.from(new ArrayBuffer(POLLFD_SIZE * Math.max(fds.length, 9))); // above 64 bytes it lies outside of V8's heap and does not move
  fds.forEach((fd, i) => {
    polls.writeInt32LE(fd, POLLFD_SIZE * i);
    polls.writeInt16LE(POLLIN, POLLFD_SIZE * i + 4);
  });
  poll.async(polls, fds.length, -1, () => {
    const isReady = (i: number) => polls.readInt16LE(POLLFD_SIZE * i + 6) !== 0;
    if (isReady(0)) call("read", undefined, alarmFd, new Uint8Array(8), 8);
    fds.forEach((fd, i) => {
      if (i > 0 && isReady(i)) callbacks.get(fd)?.();
    });
    if (callbacks.size > 0) sleep(alarmFd);
    else stop(alarmFd);
  });
}

function stop(alarmFd: number): void {
  alarm = undefined;
  process.off("exit", wake);
  closeFile(alarmFd);
}
