/** Programs the kernel by the leases, and again when another program has changed entries or the kernel has refused some. */

import { type Clock, systemClock } from "../../pkg/cluster/event-loop/clock.ts";
import {
  type NetlinkHandler,
  RTMGRP_IPV4_IFADDR,
  RTMGRP_IPV4_ROUTE,
  RTMGRP_IPV6_IFADDR,
  RTMGRP_IPV6_ROUTE,
  RTMGRP_LINK,
  RTMGRP_NEIGH,
  type Watching,
} from "../../pkg/cluster/event-loop/netlink-watch.ts";
import type { PassResult } from "../../pkg/cluster/event-loop/reconcile-debounce.ts";
import { startReconcileLoop } from "../../pkg/cluster/event-loop/reconcile-loop.ts";
import type { Lease } from "../../pkg/cluster/lease/lease.ts";
import type { LeaseChanges } from "../../pkg/cluster/lease/manager.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import type {
  ApplyResult,
  Backend,
  ExternalInterface,
  OwnAttributes,
  OwnLease,
} from "../../pkg/flannel/backend/backend.ts";
import type { Metrics } from "./metrics.ts";

export interface BackendLoop {
  /** Tells the backend that our lease was renewed; a failure is logged, and repaired later. */
  setOwnLease(own: OwnLease): Promise<void>;
  /** Resolves when the kernel has them, or will be tried again. */
  setPeers(all: readonly Lease[]): Promise<void>;
  changePeers(changes: LeaseChanges): Promise<void>;
  /** Has the backend adapt to a changed interface. @returns its attributes from then on; rejects with its error */
  follow(external: ExternalInterface): Promise<OwnAttributes>;
  /** Resolves when nothing runs any more. */
  stop(): Promise<void>;
}

interface Parts {
  /** Receives the kernel's changes, of the RTMGRP_* groups. */
  watchKernel(handler: NetlinkHandler, groups: number): Watching;
  metrics: Pick<Metrics, "programmed" | "repairedEntries" | "reconciled">;
  log: Log;
  clock?: Clock;
}

const GROUPS =
  RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;

/** A burst of changes has ended after a tenth of a second; a second after the first one the entries are compared in any case. */
const DEBOUNCE = { quietMs: 100, latestMs: 1000 };
/** The period of checks in case an event was lost. */
const RESYNC_MS = 300_000;
/** The longest pause between repairs, when another program undoes each of them. */
const LONGEST_PAUSE_MS = 60_000;
const LONGEST_RETRY_MS = 30_000;

export function startBackendLoop(
  backend: Backend,
  { watchKernel, metrics, log, clock = systemClock }: Parts,
): BackendLoop {
  let hasPeers = false;

  const loop = startReconcileLoop({
    debounce: DEBOUNCE,
    resyncMs: backend.canReadBack ? RESYNC_MS : undefined,
    longestPauseMs: LONGEST_PAUSE_MS,
    longestRetryMs: LONGEST_RETRY_MS,
    watch: (handler) => watchKernel(handler, GROUPS),
    isRelevant: (message) => backend.concerns(message),
    async reconcile() {
      if (!hasPeers) return { repaired: 0 }; // it would remove the entries that an earlier run has left, and that the peers need
      const done = await backend.repair();
      metrics.repairedEntries(done);
      const { added, removed } = done;
      if (!backend.canReadBack) return { ...resultOf(done, log), repaired: 0 }; // it has only tried again what had failed
      if (added + removed > 0) log.warn("repaired entries that another process had changed", { added, removed });
      return resultOf(done, log);
    },
    failed: report,
    undone: () =>
      log.warn(
        "another process keeps changing the routes, neighbours or forwarding entries of other hosts: they are restored at increasing intervals. To find it: " +
          "`ip monitor route neigh` shows each change, `ip -d route` the protocol of each route",
      ),
    passed: metrics.reconciled("entries"),
    clock,
  });

  backend.onFault?.(loop.ask);

  function report(error: unknown): void {
    log.error("cannot update the kernel's entries: retrying", { error: (error as Error).message });
  }

  async function program(work: () => Promise<ApplyResult>): Promise<void> {
    const startedMs = clock.bootMs();
    const done = await work();
    const ms = clock.bootMs() - startedMs;
    metrics.programmed(done, ms / 1000);
    log.debug("programmed the entries of other hosts", {
      added: done.added,
      removed: done.removed,
      ms: Math.round(ms),
    });
    if (resultOf(done, log).isIncomplete) loop.retry();
  }

  /** Waits for its turn; a failure is logged, and all entries are compared again later. */
  const inTurn = (work: () => Promise<void>): Promise<void> =>
    loop.exclusive(work).catch((error) => {
      report(error);
      loop.retry();
    });
  const programInTurn = (work: () => Promise<ApplyResult>): Promise<void> => inTurn(() => program(work));

  return {
    setOwnLease: (own) => inTurn(() => backend.setOwnLease(own)),
    setPeers: (all) =>
      programInTurn(() => {
        hasPeers = true;
        return backend.setPeers(all);
      }),
    changePeers: (changes) => programInTurn(() => backend.changePeers(changes)),
    async follow(external) {
      let attributes: OwnAttributes | undefined;
      await loop.exclusive(async () => {
        await backend.follow(external);
        attributes = await backend.attributes();
      });
      if (attributes === undefined) throw new Error("the daemon is stopping");
      loop.ask();
      return attributes;
    },
    stop: loop.stop,
  };
}

/** Logs the refused entries, which are tried again. Those do not count as repaired. */
function resultOf({ added, removed, refused }: ApplyResult, log: Log): PassResult {
  for (const entry of refused) log.warn("the kernel refused an entry: retrying", { entry });
  return { repaired: Math.max(0, added + removed - refused.length), isIncomplete: refused.length > 0 };
}
