/** Waits for many descriptors at once (epoll), for a program that has nothing else to do. */
import { native } from "#native";
import { closeFile } from "./file.ts";
import { ask, call } from "./syscall.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 1;
const EPOLLOUT = 4;
const EPOLLRDHUP = 0x2000;
/** linux/eventpoll.h: struct epoll_event; events u32, then data u64, packed on x64. */
const DATA_OFFSET = native.arch === "x64" ? 4 : 8;
const EVENT_SIZE = DATA_OFFSET + 8;
const EVENTS_AT_ONCE = 64;

export interface Poller {
  watch(fd: number): void;
  /** For a descriptor that is watched: whether it is also returned when it can be written to. */
  watchWritable(fd: number, isWanted: boolean): void;
  /** Must be called before the descriptor is closed. */
  forget(fd: number): void;
  /** Returns descriptors that are readable, or writable where that is watched, or whose peer has closed; none after the timeout. */
  wait(timeoutMs: number): number[];
  close(): void;
}

export function openPoller(): Poller {
  const epoll = call("epoll_create1", undefined, EPOLL_CLOEXEC);
  const events = new DataView(new ArrayBuffer(EVENT_SIZE * EVENTS_AT_ONCE));
  const eventBytes = new Uint8Array(events.buffer);
  const control = (operation: number, fd: number, wanted: number) => {
    const event = new DataView(new ArrayBuffer(EVENT_SIZE));
    event.setUint32(0, wanted, true);
    event.setUint32(DATA_OFFSET, fd, true);
    call("epoll_ctl", undefined, epoll, operation, fd, new Uint8Array(event.buffer));
  };
  return {
    watch: (fd) => control(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP),
    watchWritable: (fd, isWanted) => control(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLRDHUP | (isWanted ? EPOLLOUT : 0)),
    forget(fd) {
      ask("epoll_ctl", epoll, EPOLL_CTL_DEL, fd, 0);
    },
    wait(timeoutMs) {
      const count = call("epoll_pwait", undefined, epoll, eventBytes, EVENTS_AT_ONCE, Math.ceil(timeoutMs), 0, 8);
      return Array.from({ length: count }, (_, i) => events.getUint32(i * EVENT_SIZE + DATA_OFFSET, true));
    },
    close: () => closeFile(epoll),
  };
}
