/** What both directions have in common: waiting, the table of peers, ICMP errors. */
import { SystemError } from "../../sys/errno.ts";
import { POLLIN } from "../../sys/poll.ts";
import { type Arena, createArena } from "./arena.ts";
import { type Count, counterOf } from "./counters.ts";
import { createRateLimit, type IcmpError, MAX_ICMP_ERROR, mayAnswer, writeIcmpError } from "./icmp.ts";
import { errno, libcPoll } from "./libc.ts";
import { createPeerTable, type PeerTable } from "./peer-table.ts";

/** What a worker is started with: descriptors, and what the kernel can. */
export interface WorkerStart {
  tun: number;
  udp: number;
  /** A raw socket for ICMP errors to packets of this host; -1 if there is none. */
  raw: number;
  /** An eventfd that says that the worker is to stop. */
  alarm: number;
  /** The table of the peers. */
  peers: SharedArrayBuffer;
  hasVnetHeader: boolean;
  hasUdpOffload: boolean;
  canSegment: boolean;
  counters: SharedArrayBuffer;
}

/** Why a worker ended, when no error was thrown. */
export type WorkerEnd = "stopped" | "device gone";

export interface PathWorker {
  readonly arena: Arena;
  readonly table: PeerTable;
  readonly count: Count;
  /** Waits until a descriptor is ready. @returns false when the worker is to stop */
  wait(fd: number, events: number): boolean;
  /** Sends an ICMP error in answer to the packet, if one may be sent. `send` returns what the system call did. */
  answer(error: IcmpError, at: number, size: number, send: (packet: Uint8Array) => number): void;
}

const POLLFD = { size: 8, events: 4, revents: 6 } as const;

const EINTR = 4;

export function createPathWorker(start: WorkerStart, arenaBytes: number): PathWorker {
  const arena = createArena(arenaBytes);
  const { view } = arena;
  const table = createPeerTable(start.peers);
  const count = counterOf(start.counters);
  const polls = arena.reserve(2 * POLLFD.size);
  const icmp = arena.reserve(MAX_ICMP_ERROR);
  const limit = createRateLimit();

  view.setInt32(polls, start.alarm, true);
  view.setUint16(polls + POLLFD.events, POLLIN, true);

  return {
    arena,
    table,
    count,
    wait(fd, events) {
      view.setInt32(polls + POLLFD.size, fd, true);
      view.setUint16(polls + POLLFD.size + POLLFD.events, events, true);
      while (libcPoll(arena.address + polls, 2, -1) < 0) if (errno() !== EINTR) throw new SystemError("poll", errno());
      return view.getUint16(polls + POLLFD.revents, true) === 0;
    },
    answer(error, at, size, send) {
      if (!mayAnswer(view, at, size) || !limit.allow(performance.now())) {
        count("icmpSuppressed", 1);
        return;
      }
      const packet = arena.bytes.subarray(icmp, icmp + writeIcmpError(view, icmp, error, table.ownBase(), at, size));
      count(send(packet) < 0 ? "icmpSuppressed" : "icmpSent", 1);
    },
  };
}
