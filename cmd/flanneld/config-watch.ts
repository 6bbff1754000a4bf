/** Notices that the network configuration in the store is no longer the one that the daemon runs with, which it reads once. */
import { isDeepStrictEqual } from "node:util";
import { type Clock, systemClock } from "../../pkg/cluster/event-loop/clock.ts";
import type { LeaseManager } from "../../pkg/cluster/lease/manager.ts";
import { NoConfig } from "../../pkg/cluster/lease/store-error.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import type { Problem } from "./status/format.ts";

export interface ConfigWatch {
  /** Returns the difference as last seen, for a status report. */
  problem(): Problem | undefined;
  stop(): void;
}

interface Parts {
  manager: Pick<LeaseManager, "readConfig">;
  /** The text that the daemon runs with. */
  configText: string;
  log: Log;
  clock?: Clock;
}

/** One small read for each host: a cluster of 5000 hosts asks the store 83 times a second. */
const LOOK_MS = 60_000;

export function watchConfig({ manager, configText, log, clock = systemClock }: Parts): ConfigWatch {
  let problem: Problem | undefined;
  let isStopped = false;
  let cancel = () => {};

  async function look(): Promise<void> {
    const found = await difference();
    if (isStopped) return;
    if (found !== undefined && found.text !== problem?.text) log.warn(found.text, { remedy: found.remedy });
    if (found === undefined && problem !== undefined)
      log.info("the network configuration in the store is again the one that this daemon runs with");
    problem = found;
    wait();
  }

  async function difference(): Promise<Problem | undefined> {
    try {
      return isSame(await manager.readConfig(), configText) ? undefined : changed;
    } catch (error) {
      return error instanceof NoConfig ? gone(error) : problem; // a store that does not answer is told elsewhere
    }
  }

  function wait(): void {
    cancel = clock.after(LOOK_MS, () => void look());
  }

  wait();
  return {
    problem: () => problem,
    stop() {
      isStopped = true;
      cancel();
    },
  };
}

const changed: Problem = {
  text: "the network configuration in the store has changed since this daemon read it",
  remedy: "restart flanneld on every host to use it, or write the earlier one again",
};

const gone = ({ message }: NoConfig): Problem => ({
  text: `the network configuration has been deleted from the store: this daemon runs on, but none can start: ${message}`,
  remedy: "write it again",
});

/** Reports whether the texts mean the same: order of keys and white space do not matter. */
function isSame(one: string, other: string): boolean {
  try {
    return one === other || isDeepStrictEqual(JSON.parse(one), JSON.parse(other));
  } catch {
    return false; // not JSON any more
  }
}
