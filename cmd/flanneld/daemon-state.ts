/** Where the daemon stands, told to whoever waits for it: the file beside the subnet file (for the CNI plugin), systemd, `/readyz`. */
import type { Log } from "../../pkg/cluster/log/log.ts";
import { type DaemonState, writeDaemonState } from "../../pkg/subnet-env/daemon-state.ts";
import type { Notifier } from "./notify.ts";

export interface StateReporter {
  /** No subnet yet, and why. */
  waiting(reason: string): void;
  /** Once: the subnet file is there. A lease that was lost meanwhile stays lost. */
  ready(status: string): void;
  /** Somebody else has our subnet. */
  lost(reason: string): void;
  /** It is ours again. Nothing new unless it was lost. */
  held(): void;
  /** The same once more, after the subnet file was written: an older word does not count. */
  repeat(): void;
  /** Since the subnet file was written; losing the lease does not end it, as with flannel. */
  isReady(): boolean;
  /** As it was last told. */
  current(): DaemonState;
}

const STARTS = "it starts";

export function createStateReporter(subnetFile: string, notifier: Notifier, log: Log): StateReporter {
  const stateNow = (state: DaemonState["state"], reason: string): DaemonState => ({
    pid: process.pid,
    since: new Date().toISOString(),
    state,
    reason,
  });
  let current = stateNow("waiting", STARTS);
  let hasBeenReady = false;
  let readyStatus = "";

  function take(state: DaemonState["state"], reason: string): boolean {
    if (state === current.state && reason === current.reason) return false;
    current = stateNow(state, reason);
    write();
    return true;
  }

  function write(): void {
    try {
      writeDaemonState(subnetFile, current);
    } catch (error) {
      log.warn("cannot write the state file: the CNI plugin cannot say why it waits", {
        error: (error as Error).message,
      });
    }
  }

  return {
    waiting(reason) {
      if (take("waiting", reason)) notifier.status(`waiting: ${reason}`);
    },
    ready(status) {
      readyStatus = status;
      hasBeenReady = true;
      const isLost = current.state === "lost";
      if (isLost)
        write(); // a word that is older than the subnet file does not count
      else take("ready", status);
      notifier.ready(isLost ? `lease lost: ${current.reason}` : status);
    },
    lost(reason) {
      if (take("lost", reason)) notifier.status(`lease lost: ${reason}`);
    },
    held() {
      if (current.state !== "lost") return;
      if (!hasBeenReady) take("waiting", STARTS);
      else if (take("ready", readyStatus)) notifier.status(readyStatus);
    },
    repeat: write,
    isReady: () => hasBeenReady,
    current: () => current,
  };
}
