/** What both directions have in common: waiting, messages of the main thread, the table of peers, ICMP errors. */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { SystemError } from "../../sys/errno.ts";
import { takeAlarm } from "../../sys/eventfd.ts";
import { POLLIN } from "../../sys/poll.ts";
import { type Arena, createArena } from "./arena.ts";
import { type Count, counterOf } from "./counters.ts";
import { createRateLimit, type IcmpError, MAX_ICMP_ERROR, mayAnswer, writeIcmpError } from "./icmp.ts";
import { errno, libcPoll } from "./libc.ts";
import type { RowChanges } from "./peer-rows.ts";
import { createPeerTable, networkOf, type PeerTable } from "./peer-table.ts";

/** What a worker is started with: descriptors, and what the kernel can. */
export interface WorkerStart {
  tun: number;
  udp: number;
  /** A raw socket for ICMP errors to packets of this host; -1 if there is none. */
  raw: number;
  /** An eventfd that says that there are messages. */
  alarm: number;
  hasVnetHeader: boolean;
  hasUdpOffload: boolean;
  canSegment: boolean;
  counters: SharedArrayBuffer;
  /** One Int32: how many messages have been carried out. */
  carriedOut: SharedArrayBuffer;
}

/** Why a worker ended, when no error was thrown. */
export type WorkerEnd = "stopped" | "device gone";

export type WorkerMessage =
  | (RowChanges & {
      /** This host's subnet; undefined: as before. */
      own?: string;
    })
  | { stop: true };

export interface PathWorker {
  readonly arena: Arena;
  readonly table: PeerTable;
  /** This host's subnet; holds no address before the first table has come. */
  readonly own: { network: number; mask: number };
  readonly count: Count;
  /** Waits until a descriptor is ready, carrying out messages meanwhile. @returns false when the worker is to stop */
  wait(fd: number, events: number): boolean;
  /** Sends an ICMP error in answer to the packet, if one may be sent. `send` returns what the system call did. */
  answer(error: IcmpError, at: number, size: number, send: (packet: Uint8Array) => number): void;
}

const POLLFD = { size: 8, events: 4, revents: 6 } as const;

const EINTR = 4;

export function createPathWorker(start: WorkerStart, port: MessagePort, arenaBytes: number): PathWorker {
  const arena = createArena(arenaBytes);
  const { view } = arena;
  const table = createPeerTable();
  const count = counterOf(start.counters);
  const carriedOut = new Int32Array(start.carriedOut);
  const polls = arena.reserve(2 * POLLFD.size);
  const icmp = arena.reserve(MAX_ICMP_ERROR);
  const limit = createRateLimit();
  let own = { network: 0, mask: -1 };
  let isStopped = false;

  view.setInt32(polls, start.alarm, true);
  view.setUint16(polls + POLLFD.events, POLLIN, true);

  function carryOut(message: WorkerMessage): void {
    if ("stop" in message) isStopped = true;
    else {
      own = message.own === undefined ? own : networkOf(message.own);
      table.change(message.set, message.remove);
    }
    Atomics.add(carriedOut, 0, 1);
    Atomics.notify(carriedOut, 0);
  }

  return {
    arena,
    table,
    count,
    get own() {
      return own;
    },
    wait(fd, events) {
      view.setInt32(polls + POLLFD.size, fd, true);
      view.setUint16(polls + POLLFD.size + POLLFD.events, events, true);
      while (!isStopped) {
        if (libcPoll(arena.address + polls, 2, -1) < 0) {
          if (errno() === EINTR) continue;
          throw new SystemError("poll", errno());
        }
        if (view.getUint16(polls + POLLFD.revents, true) !== 0) {
          takeAlarm(start.alarm);
          for (let one = receiveMessageOnPort(port); one !== undefined; one = receiveMessageOnPort(port))
            carryOut(one.message as WorkerMessage);
        } else if (view.getUint16(polls + POLLFD.size + POLLFD.revents, true) !== 0) return true;
      }
      return false;
    },
    answer(error, at, size, send) {
      if (!mayAnswer(view, at, size) || !limit.allow(performance.now())) {
        count("icmpSuppressed", 1);
        return;
      }
      const packet = arena.bytes.subarray(icmp, icmp + writeIcmpError(view, icmp, error, own.network, at, size));
      count(send(packet) < 0 ? "icmpSuppressed" : "icmpSent", 1);
    },
  };
}
