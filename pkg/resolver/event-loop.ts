/** The one loop of the resolver: what is called when a descriptor is readable, and when its time has come. */
import { bootMs } from "../sys/clock.ts";
import { closeFile } from "../sys/file.ts";
import { openPoller } from "../sys/poller.ts";
import { collectCycles } from "../sys/process.ts";

export interface EventLoop {
  /** Calls `ready` each time the descriptor is readable, or writable where that is watched, or its peer has closed. */
  watch(fd: number, ready: () => void): void;
  watchWritable(fd: number, isWanted: boolean): void;
  /** Ends watching, and closes the descriptor. */
  close(fd: number): void;
  /** Runs until `stop` is called. @param tick is called at least at each interval; it returns when it next has to be */
  run(tick: (nowMs: number) => number): void;
  stop(): void;
}

/** The kernel's timeout does not count suspension; after one, the loop is late by at most this time. */
const LONGEST_WAIT_MS = 60_000;

/** A collection reads the whole image of the program, which takes a few milliseconds. */
const ROUNDS_BETWEEN_COLLECTIONS = 4000;

export function openEventLoop(): EventLoop {
  const poller = openPoller();
  const watched = new Map<number, () => void>();
  let isStopped = false;
  return {
    watch(fd, ready) {
      poller.watch(fd);
      watched.set(fd, ready);
    },
    watchWritable: (fd, isWanted) => poller.watchWritable(fd, isWanted),
    close(fd) {
      if (watched.delete(fd)) poller.forget(fd);
      closeFile(fd);
    },
    run(tick) {
      for (let round = 1; !isStopped; round++) {
        if (round % ROUNDS_BETWEEN_COLLECTIONS === 0) collectCycles();
        const nowMs = bootMs();
        const wakeAtMs = tick(nowMs);
        const ready = poller.wait(Math.max(0, Math.min(wakeAtMs - nowMs, LONGEST_WAIT_MS)));
        for (const fd of ready) watched.get(fd)?.(); // an earlier one may have closed it
      }
    },
    stop() {
      isStopped = true;
    },
  };
}
