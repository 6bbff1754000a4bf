/** Brings the kernel what the leases say, and again whenever somebody else changes it or the kernel refused. */
import type { Backend, Programmed } from "../../pkg/backend/backend.ts";
import type { Log } from "../../pkg/observe/log.ts";
import type { Lease } from "../../pkg/subnet/lease.ts";
import type { LeaseChanges } from "../../pkg/subnet/peers.ts";
import { soon } from "../../pkg/sys/soon.ts";
import type { Metrics } from "./metrics.ts";

export interface Overlay {
  setPeers(all: readonly Lease[]): void;
  changePeers(changes: LeaseChanges): void;
  /** Something may have to be mended. */
  repairSoon(): void;
  stop(): void;
}

/** What others remove comes back in a tenth of a second, or in a second while they go on removing. */
export const REPAIR = { quietMs: 100, latestMs: 1000 };
/** What the kernel refused is tried again. */
const RETRY_MS = 5000;
/** In case that an event was lost. */
const LOOK_MS = 300_000;

export function keepOverlay(backend: Backend, { log, metrics }: { log: Log; metrics: Metrics }): Overlay {
  let retry: NodeJS.Timeout | undefined;
  const repair = soon(() => {
    attempt(backend.repair, (done, ms) => {
      const { added, removed } = done;
      metrics.repairedEntries(done);
      if (added + removed > 0) log.warn("mended what somebody else had changed", { added, removed, ms });
    });
  }, REPAIR);
  const look = setInterval(repair.ask, LOOK_MS);

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
    retry = setTimeout(repair.ask, RETRY_MS);
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
    repairSoon: repair.ask,
    stop() {
      repair.stop();
      clearInterval(look);
      clearTimeout(retry);
    },
  };
}
