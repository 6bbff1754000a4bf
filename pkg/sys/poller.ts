/** Waits for many descriptors at once (epoll), for a program that has nothing else to do. */
import { native } from "#native";
import { closeFile } from "./file.ts";
import { ask, call } from "./syscall.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EPOLLRDHUP = 0x2000;
/** linux/eventpoll.h: struct epoll_event; events u32, then data u64, packed on x64. */
const DATA_OFFSET = native.arch === "x64" ? 4 : 8;
const EVENT_SIZE = DATA_OFFSET + 8;
const EVENTS_AT_ONCE = 64;

export interface Poller {
  watch(fd: number): void;
  /** Must be called before the descriptor is closed. */
  forget(fd: number): void;
  /** Returns descriptors that are readable or whose peer has closed; none after the timeout. */
  wait(timeoutMs: number): number[];
  close(): void;
}

export function openPoller(): Poller {
  const epoll = call("epoll_create1", undefined, EPOLL_CLOEXEC);
  const events = new DataView(new ArrayBuffer(EVENT_SIZE * EVENTS_AT_ONCE));
  const eventBytes = new Uint8Array(events.buffer);
  return {
    watch(fd) {
      const event = new DataView(new ArrayBuffer(EVENT_SIZE));
      event.setUint32(0, EPOLLIN | EPOLLRDHUP, true);
      event.setUint32(DATA_OFFSET, fd, true);
      call("epoll_ctl", undefined, epoll, EPOLL_CTL_ADD, fd, new Uint8Array(event.buffer));
    },
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
