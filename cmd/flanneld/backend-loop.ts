/** Programs the kernel by the leases, and again when another program has changed entries or the kernel has refused some. */

import type { Lease } from "../../pkg/cluster/lease/lease.ts";
import type { LeaseChanges } from "../../pkg/cluster/lease/manager.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import type { Backend, Programmed } from "../../pkg/flannel/backend/backend.ts";
import { newPace } from "../../pkg/flannel/rules/pace.ts";
import type { Metrics } from "./metrics.ts";

export interface BackendLoop {
  setPeers(all: readonly Lease[]): void;
  changePeers(changes: LeaseChanges): void;
  /** Schedules a repair. */
  repairSoon(): void;
  stop(): void;
}

/** The longest pause between repairs, when another program undoes each of them. */
const LONGEST_PAUSE_MS = 60_000;
/** The delay before refused entries are tried again. */
const RETRY_MS = 5000;
/** The period of checks in case an event was lost. */
const LOOK_MS = 300_000;

export function startBackendLoop(backend: Backend, { log, metrics }: { log: Log; metrics: Metrics }): BackendLoop {
  const pace = newPace({ longestMs: LONGEST_PAUSE_MS });
  let retry: NodeJS.Timeout | undefined;
  let next: NodeJS.Timeout | undefined;
  const look = setInterval(repairSoon, LOOK_MS);

  function repairSoon(): void {
    clearTimeout(next);
    next = setTimeout(repair, pace.waitMs(performance.now()));
  }

  function repair(): void {
    let repaired = false;
    attempt(backend.repair, (done, ms) => {
      const { added, removed, refused } = done;
      metrics.repairedEntries(done);
      repaired = added + removed > refused.length;
      if (added + removed > 0) log.warn("mended what somebody else had changed", { added, removed, ms });
    });
    pace.looked(performance.now(), { repaired });
    if (pace.becameFight())
      log.warn(
        "somebody keeps changing the routes, neighbours or forwarding entries of the other hosts: they are restored at growing intervals; " +
          "`ip monitor route neigh` shows what is changed, and `ip -d route` by which protocol",
      );
  }

  function attempt(work: () => Programmed, report: (done: Programmed, ms: number) => void): void {
    const startedMs = performance.now();
    try {
      const done = work();
      report(done, Math.round(performance.now() - startedMs));
      for (const entry of done.refused) log.warn("the kernel refuses an entry: trying again", { entry });
      if (done.refused.length > 0) tryAgain();
    } catch (error) {
      log.error("the kernel's entries are not what they should be: trying again", { error: (error as Error).message });
      tryAgain();
    }
  }

  function tryAgain(): void {
    clearTimeout(retry);
    retry = setTimeout(repairSoon, RETRY_MS);
  }

  function program(work: () => Programmed): void {
    attempt(work, (done, ms) => {
      metrics.programmed(done, ms / 1000);
      log.debug("the kernel has the peers", { added: done.added, removed: done.removed, ms });
    });
  }

  return {
    setPeers: (all) => program(() => backend.setPeers(all)),
    changePeers: (changes) => program(() => backend.changePeers(changes)),
    repairSoon,
    stop() {
      clearTimeout(next);
      clearInterval(look);
      clearTimeout(retry);
    },
  };
}
