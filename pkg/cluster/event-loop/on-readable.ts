/**
 * Waits for descriptors without blocking Node, which refuses to watch netlink sockets itself: one thread of its pool sleeps in
 * poll(2) for all of them. Node only.
 *
 * Rejected: a worker thread (9 MB), a timer that reads (1.3 % of a core at ten times a second).
 */
import koffi from "koffi";
import { createAlarm, ring, takeAlarm } from "../../sys/eventfd.ts";
import { closeFile } from "../../sys/file.ts";
import { POLLIN } from "../../sys/poll.ts";

const poll = koffi.load("libc.so.6").func("int poll(void *fds, unsigned long count, int timeoutMs)");

const POLLFD_SIZE = 8; // linux/poll.h: fd s32, events s16, revents s16

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
  alarm = createAlarm();
  process.once("exit", wake); // a thread that still sleeps keeps the process from ending
  sleep(alarm);
}

function wake(): void {
  if (alarm !== undefined) ring(alarm);
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
    if (isReady(0)) takeAlarm(alarmFd);
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
