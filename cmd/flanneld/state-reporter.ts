/** Reports the daemon's state: in the file beside the subnet file (for the CNI plugin), to systemd, and for `/readyz`. */
import { StoreError } from "../../pkg/cluster/lease/store-error.ts";
import type { Log } from "../../pkg/cluster/log/log.ts";
import { type DaemonState, writeDaemonState } from "../../pkg/subnet-env/daemon-state.ts";
import type { Notifier } from "./notify.ts";

export interface StateReporter {
  /** Reports, also in the log, that joining the cluster has failed and is tried again. */
  cannotJoin(error: Error): void;
  /** Reports, also in the log, that writing the subnet file has failed and is tried again. */
  cannotWrite(error: Error): void;
  /** Reports that the store is lost (with the error) or answers again (undefined). */
  storeTrouble(why: Error | undefined): void;
  /** Reports, once, that the subnet file is written. A lease that was lost meanwhile stays lost. */
  ready(status: string): void;
  /** Reports that another host has our subnet. */
  leaseLost(reason: string): void;
  /** Reports that the lease is ours; has an effect only after `leaseLost`. */
  leaseHeld(): void;
  /** Rewrites the state file, after the subnet file was written: the CNI plugin ignores a state file older than that. */
  repeat(): void;
  /** Reports whether the subnet file was written; it stays true when the lease is lost, as with flannel. */
  isReady(): boolean;
  /** Reports that the daemon ends because of this error. A daemon that had a subnet leaves what it reported last. */
  ended(error: Error): void;
  /** Returns the last reported state. */
  current(): DaemonState;
  /** Returns the error of the store if it does not answer. */
  lastStoreTrouble(): Error | undefined;
}

const STARTS = "starting";

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
  let trouble: Error | undefined;

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
      log.warn("cannot write the state file: the flannel CNI plugin cannot report why there is no subnet", {
        error: (error as Error).message,
      });
    }
  }

  function waiting(reason: string): void {
    if (take("waiting", reason)) notifier.status(`waiting: ${reason}`);
  }

  function cannot({ message }: Error): void {
    waiting(message);
    log.warn(`waiting: ${message}`); // not in a field, where commands to copy would be quoted
  }

  return {
    cannotJoin(error) {
      trouble = error instanceof StoreError ? error : undefined;
      cannot(error);
    },
    cannotWrite: cannot,
    storeTrouble(why) {
      trouble = why;
      if (why && !hasBeenReady) waiting(why.message);
    },
    ready(status) {
      readyStatus = status;
      hasBeenReady = true;
      const isLost = current.state === "lost";
      if (isLost)
        write(); // the CNI plugin ignores a state file older than the subnet file
      else take("ready", status);
      notifier.ready(isLost ? `lease lost: ${current.reason}` : status);
    },
    leaseLost(reason) {
      if (take("lost", reason)) notifier.status(`lease lost: ${reason}`);
    },
    leaseHeld() {
      if (current.state !== "lost") return;
      if (!hasBeenReady) take("waiting", STARTS);
      else if (take("ready", readyStatus)) notifier.status(readyStatus);
    },
    ended({ message }) {
      if (current.state === "waiting") take("ended", message);
    },
    repeat: write,
    isReady: () => hasBeenReady,
    current: () => current,
    lastStoreTrouble: () => trouble,
  };
}
