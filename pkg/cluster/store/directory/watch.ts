/**
 * Watches the lease files. The kernel reports changes by this machine (inotify); those by other machines on a shared file system
 * are found by polling the directory's modification time every second.
 */
import { type FSWatcher, watch } from "node:fs";
import { nowMs } from "../../../sys/clock.ts";
import { Errno, SystemError } from "../../../sys/errno.ts";
import { findStat, listDirectory, type Stat } from "../../../sys/file.ts";
import type { LeaseEvent } from "../../lease/event.ts";
import type { Log } from "../../log/log.ts";
import { type FoundLease, findLease, type Leases } from "./files.ts";

export interface Watcher {
  event(event: LeaseEvent): void;
  /** Called when the directory cannot be read (with the error), or can again (undefined); known leases are kept. */
  trouble(why: SystemError | undefined): void;
  log: Log;
}

const LOOK_MS = 1000;
/** How often every file is checked: a file that another machine writes in place does not modify the directory. */
const LOOK_AT_ALL_MS = 60_000;
/** Timestamps are coarse, on some file systems seconds: a directory modified just now may change again with the same timestamp. */
const TICK_MS = 2000;

/** @returns ends the watch */
export function watchLeases(files: Leases, watcher: Watcher): () => void {
  const leases = new WatchedLeases(files, watcher);
  const timer = setInterval(() => leases.look(), LOOK_MS);
  queueMicrotask(() => leases.look());
  return () => {
    clearInterval(timer);
    leases.stop();
  };
}

class WatchedLeases {
  private readonly files: Leases;
  private readonly watcher: Watcher;
  private readonly known = new Map<string, FoundLease>();
  /** Keys that the kernel has reported, not yet checked. */
  private readonly noticed = new Set<string>();
  private notifier: FSWatcher | undefined;
  /** The directory as it was when all of it was read. */
  private seen: { stat: Stat; atMs: number } | undefined;
  private hasBegun = false;
  private isInTrouble = false;
  private isStopped = false;

  constructor(files: Leases, watcher: Watcher) {
    this.files = files;
    this.watcher = watcher;
  }

  stop(): void {
    this.isStopped = true;
    this.notifier?.close();
  }

  look(): void {
    if (this.isStopped) return;
    try {
      const stat = this.directoryStat();
      if (!this.seen || !isSameFile(stat, this.seen.stat)) this.listen();
      if (this.mayHaveChanged(stat)) this.lookAtAll(stat);
      else this.lookAtEnded();
      this.recover();
    } catch (error) {
      this.suffer(error);
    }
  }

  private directoryStat(): Stat {
    const { directory } = this.files;
    const stat = findStat(directory);
    if (!stat) throw new SystemError("statx", Errno.ENOENT, directory);
    return stat;
  }

  private mayHaveChanged(stat: Stat): boolean {
    if (!this.seen || stat.modifiedNs !== this.seen.stat.modifiedNs) return true;
    const modifiedMs = Number(stat.modifiedNs / 1_000_000n);
    return this.seen.atMs - modifiedMs < TICK_MS || nowMs() - this.seen.atMs > LOOK_AT_ALL_MS;
  }

  private lookAtAll(stat: Stat): void {
    const atMs = nowMs();
    const keys = listDirectory(this.files.directory);
    this.seen = { stat, atMs };
    if (this.hasBegun) this.lookAt(new Set([...this.known.keys(), ...keys]));
    else this.begin(keys);
  }

  private begin(keys: readonly string[]): void {
    for (const key of keys) this.find(key);
    this.hasBegun = true;
    this.tellAll();
  }

  private tellAll(): void {
    const all = [...this.known.values()];
    this.watcher.event({
      kind: "snapshot",
      snapshot: {
        leases: all.flatMap((one) => ("lease" in one ? one.lease : [])),
        malformed: all.flatMap((one) => ("malformed" in one ? one.malformed : [])),
      },
    });
  }

  private lookAtEnded(): void {
    const atMs = nowMs();
    const hasEnded = (one: FoundLease) => "lease" in one && (one.lease.expiresMs ?? Number.POSITIVE_INFINITY) <= atMs;
    this.lookAt([...this.known].flatMap(([key, one]) => (hasEnded(one) ? key : [])));
  }

  private lookAt(keys: Iterable<string>): void {
    for (const key of keys) {
      const before = this.known.get(key);
      const now = this.find(key);
      if (now?.stamp !== before?.stamp && !this.isStopped) this.tell(key, now);
    }
  }

  private find(key: string): FoundLease | undefined {
    const found = findLease(this.files, key, nowMs(), this.known.get(key));
    if (found) this.known.set(key, found);
    else this.known.delete(key);
    return found;
  }

  private tell(key: string, now: FoundLease | undefined): void {
    if (now && "lease" in now) this.watcher.event({ kind: "put", lease: now.lease });
    else if (now) this.watcher.event({ kind: "malformed", malformed: now.malformed });
    else this.watcher.event({ kind: "gone", id: key });
  }

  /** Starts an inotify watch; without one (its limit is reached) changes are found by polling. */
  private listen(): void {
    this.notifier?.close();
    this.notifier = undefined;
    try {
      const notifier = watch(this.files.directory, (_kind, name) => this.notice(name));
      notifier.on("error", (error) => this.doWithout(error));
      this.notifier = notifier;
    } catch (error) {
      this.doWithout(error as Error);
    }
  }

  private doWithout(error: Error): void {
    this.watcher.log.warn("cannot watch the leases with inotify: checking them every second", { error: error.message });
  }

  /** Collects keys that are reported together, so that each file is checked once. */
  private notice(key: string | null): void {
    if (this.noticed.size === 0) setImmediate(() => this.lookAtNoticed());
    this.noticed.add(key ?? "");
  }

  private lookAtNoticed(): void {
    const keys = [...this.noticed];
    this.noticed.clear();
    if (this.isStopped || !this.hasBegun || this.isInTrouble) return; // the next poll checks all of them
    try {
      this.lookAt(keys.filter((key) => key !== ""));
      if (keys.includes("")) this.lookAtAll(this.directoryStat());
    } catch (error) {
      this.suffer(error);
    }
  }

  private suffer(error: unknown): void {
    if (!(error instanceof SystemError)) throw error;
    this.seen = undefined;
    if (!this.isInTrouble) this.watcher.trouble(error);
    this.isInTrouble = true;
  }

  private recover(): void {
    if (this.isInTrouble) this.watcher.trouble(undefined);
    this.isInTrouble = false;
  }
}

const isSameFile = (one: Stat, other: Stat): boolean => one.device === other.device && one.inode === other.inode;
