/**
 * Keeps leases as files: for trying out, for a single machine, and for hosts that share a file system. Keys and values are those of etcd:
 *
 *   config                 the network configuration
 *   subnets/10.5.1.0-24    0644  a lease's attributes; `ls -l` shows its expiry as the modification time, in the future
 *   lock                   0644  empty; held with flock(2) while a lease is written or removed
 *
 * A lease's expiry is its file's modification time, if that is a second or more after its inode's change time, which nobody can
 * set. A file that is written by hand (or touched) has no later modification time, so it never expires: a reservation, as a key
 * without lease is in etcd. Expired files are removed by the first process that sees them. Files appear complete: written under
 * another name, then linked (so that of two that create one only one succeeds) or renamed.
 *
 * Rejected: the expiry in a second file, which may be missing after a crash, or in the value, which would no longer be flannel's
 * format. Hosts that share a directory need clocks that agree to seconds.
 */

import { nowMs } from "../../../sys/clock.ts";
import { errnoName, isErrno, SystemError } from "../../../sys/errno.ts";
import { keyOf } from "../../lease/lease.ts";
import type { Store } from "../../lease/store.ts";
import { NoConfig, StoreError } from "../../lease/store-error.ts";
import type { Log } from "../../log/log.ts";
import { shellWord } from "../shell-word.ts";
import {
  createLease,
  deleteLease,
  findConfig,
  findLease,
  type Leases,
  leasesIn,
  listLeases,
  prepare,
  putLease,
} from "./files.ts";
import { watchLeases } from "./watch.ts";

export interface DirectoryStoreOptions {
  /** Created if missing. */
  directory: string;
  log: Log;
}

/** @throws StoreError the directory cannot be created */
export function openDirectoryStore({ directory, log }: DirectoryStoreOptions): Store {
  const leases = leasesIn(directory);
  const watches = new Set<() => void>();
  const attempt = <T>(doing: string, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw error instanceof SystemError ? refusal(doing, directory, error) : error;
    }
  };
  attempt("create its files", () => prepare(leases));
  const ends = new Set<number>();
  const endOf = (ttlMs: number | undefined): number | undefined => {
    if (ttlMs === undefined) return undefined;
    const endMs = Math.round(nowMs() + ttlMs);
    ends.add(endMs);
    return endMs;
  };
  const configCommand = configCommandOf(leases);

  return {
    description: `directory ${directory}`,
    async readConfig() {
      const text = attempt("read the network configuration", () => findConfig(leases));
      if (text === undefined) throw new NoConfig(`${leases.config} is missing. To fix: ${configCommand}`);
      return text;
    },
    list: async () => attempt("list the leases", () => listLeases(leases, nowMs())),
    create: async (subnets, attributes, ttlMs) =>
      attempt(`create the lease ${keyOf(subnets)}`, () => createLease(leases, subnets, attributes, endOf(ttlMs))),
    put: async (subnets, attributes, ttlMs) =>
      attempt(`write the lease ${keyOf(subnets)}`, () => putLease(leases, subnets, attributes, endOf(ttlMs))),
    find: async (subnets) =>
      attempt(`read the lease ${keyOf(subnets)}`, () => {
        const found = findLease(leases, keyOf(subnets), nowMs());
        return found && "lease" in found ? found.lease : undefined;
      }),
    hasWritten: ({ expiresMs }) =>
      expiresMs !== undefined && [...ends].some((writtenMs) => isStored(expiresMs, writtenMs)),
    delete: async (subnets) => attempt(`delete the lease ${keyOf(subnets)}`, () => deleteLease(leases, subnets)),
    watch(event, trouble) {
      const report = (why: SystemError | undefined) => trouble(why && refusal("watch the leases", directory, why));
      const stop = watchLeases(leases, { event, trouble: report, log });
      watches.add(stop);
      return { stop };
    },
    reconnect() {}, // nothing is connected
    async close() {
      for (const stop of watches) stop();
    },
  };
}

/** File systems keep timestamps to the nanosecond, the second or two seconds: a timestamp is read back rounded down to that. */
const TIMESTAMP_STEPS_MS = [1, 1000, 2000];

const isStored = (readMs: number, writtenMs: number): boolean =>
  TIMESTAMP_STEPS_MS.some((step) => readMs === Math.floor(writtenMs / step) * step);

const configCommandOf = ({ config }: Leases): string =>
  `printf '%s\\n' '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}' > ${shellWord(config)}`;

function refusal(doing: string, directory: string, error: SystemError): StoreError {
  const object = error.object === undefined ? "" : ` ${error.object}`;
  const said = `${error.call}${object}: ${errnoName(error.errno)}`;
  return new StoreError(`directory ${directory}: cannot ${doing}: ${said}. To fix: ${remedyFor(error)}`, {
    cause: error,
  });
}

function remedyFor(error: SystemError): string {
  if (isErrno(error, "ENOENT", "ENOTDIR")) return "mount the file system that holds it, or create it (mkdir -p)";
  if (isErrno(error, "EACCES", "EPERM", "EROFS")) return "give the daemon's user (root) permission to write there";
  if (isErrno(error, "ENOSPC", "EDQUOT")) return "free space on its file system";
  if (isErrno(error, "EAGAIN")) return "stop the process that holds its lock (fuser -v shows it)";
  return "see what the kernel reports about its file system (dmesg)";
}
