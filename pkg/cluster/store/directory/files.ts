/** Reads and writes the lease files; directory.ts describes them. */
import { linkSync } from "node:fs";
import { nowMs } from "../../../sys/clock.ts";
import { isErrno, SystemError } from "../../../sys/errno.ts";
import {
  findStat,
  findText,
  listDirectory,
  makeDirectories,
  removeFile,
  rename,
  type Stat,
  setModified,
  withLock,
  writeFile,
} from "../../../sys/file.ts";
import { randomHex } from "../../../sys/random.ts";
import type { Malformed, Snapshot } from "../../lease/event.ts";
import {
  keyOf,
  type Lease,
  type LeaseAttributes,
  leaseOf,
  parseKey,
  printAttributes,
  readLease,
  type Subnets,
  subnetsOverlap,
} from "../../lease/lease.ts";

/** The paths of the store. */
export interface Leases {
  /** The directory of the lease files, one per key. */
  directory: string;
  config: string;
  lock: string;
  /** The directory of temporary files: on the same file system, and not the one of the lease files. */
  workplace: string;
}

export const leasesIn = (directory: string): Leases => ({
  directory: `${directory}/subnets`,
  config: `${directory}/config`,
  lock: `${directory}/lock`,
  workplace: directory,
});

/** The content of a key's file; `stamp` differs after every change. */
export type FoundLease = { stamp: string } & ({ lease: Lease } | { malformed: Malformed });

const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;
/** Nobody holds the lock for longer than a millisecond. */
const LOCK = { mode: FILE_MODE, timeoutMs: 2000 };
/** A value is some hundred bytes; etcd takes no request larger than this. */
const LARGEST = 1.5 * 2 ** 20;

/** Makes the directory if it is missing, and removes temporary files of processes that were killed while they wrote. */
export function prepare(files: Leases): void {
  makeDirectories(files.directory, DIRECTORY_MODE);
  withLock(files.lock, LOCK, () => {
    for (const name of listDirectory(files.workplace))
      if (isTemporaryFile(name)) removeFile(`${files.workplace}/${name}`);
  });
}

export const findConfig = ({ config }: Leases): string | undefined => findText(config);

/** Lists the leases, and removes those that have expired. */
export function listLeases(files: Leases, atMs: number): Snapshot {
  const leases: Lease[] = [];
  const malformed: Malformed[] = [];
  for (const key of listDirectory(files.directory)) {
    const found = findLease(files, key, atMs);
    if (found && "lease" in found) leases.push(found.lease);
    else if (found) malformed.push(found.malformed);
  }
  return { leases, malformed };
}

/**
 * @param known The last result; returned again, without reading the file, if nothing has changed.
 * @returns undefined when there is none, or it has expired: then its file is removed.
 */
export function findLease(files: Leases, key: string, atMs: number, known?: FoundLease): FoundLease | undefined {
  const path = pathOf(files, key);
  const stat = lookAt(path);
  if (typeof stat === "string") return { stamp: stat, malformed: { id: key, reason: stat } };
  if (!stat) return undefined;
  if (!hasEnded(stat, atMs)) return known?.stamp === stampOf(stat) ? known : read(path, key, stat);
  removeEnded(files, key, atMs);
  return undefined;
}

/** @returns undefined when an existing one overlaps it */
export function createLease(
  files: Leases,
  subnets: Subnets,
  attributes: LeaseAttributes,
  endMs: number | undefined,
): Lease | undefined {
  const path = pathOf(files, keyOf(subnets));
  const isMade = withLock(files.lock, LOCK, () => {
    const inTheWay = listDirectory(files.directory).filter((key) => isOverlapping(key, subnets));
    if (inTheWay.some((key) => lasts(pathOf(files, key)))) return false;
    removeFile(path);
    return prepared(files, attributes, endMs, (temporary) => link(temporary, path));
  });
  return isMade ? leaseOf(subnets, attributes, endMs) : undefined;
}

function isOverlapping(key: string, subnets: Subnets): boolean {
  const found = parseKey(key);
  return found !== undefined && subnetsOverlap(found, subnets);
}

function lasts(path: string): boolean {
  const stat = lookAt(path);
  return typeof stat === "string" || (stat !== undefined && !hasEnded(stat, nowMs()));
}

export function putLease(
  files: Leases,
  subnets: Subnets,
  attributes: LeaseAttributes,
  endMs: number | undefined,
): Lease {
  const path = pathOf(files, keyOf(subnets));
  withLock(files.lock, LOCK, () => prepared(files, attributes, endMs, (temporary) => rename(temporary, path)));
  return leaseOf(subnets, attributes, endMs);
}

export function deleteLease(files: Leases, subnets: Subnets): void {
  withLock(files.lock, LOCK, () => removeFile(pathOf(files, keyOf(subnets))));
}

const pathOf = ({ directory }: Leases, key: string): string => `${directory}/${key}`;

/** Writes a complete file, with its expiry, under a temporary name; `place` gives it the lease's name. */
function prepared<T>(
  { workplace }: Leases,
  attributes: LeaseAttributes,
  endMs: number | undefined,
  place: (temporary: string) => T,
): T {
  const temporary = `${workplace}/${TEMPORARY.start}${randomHex(8)}${TEMPORARY.end}`;
  try {
    writeFile(temporary, `${printAttributes(attributes)}\n`, { mode: FILE_MODE });
    if (endMs !== undefined) setModified(temporary, BigInt(endMs) * NS_PER_MS);
    return place(temporary);
  } finally {
    removeFile(temporary);
  }
}
const NS_PER_MS = 1_000_000n;

const TEMPORARY = { start: ".lease-", end: ".tmp" };
const isTemporaryFile = (name: string): boolean => name.startsWith(TEMPORARY.start) && name.endsWith(TEMPORARY.end);

/** @returns false when a process that does not hold the lock created the file first */
function link(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException;
    const refused = new SystemError("linkat", -errno, to);
    if (isErrno(refused, "EEXIST")) return false;
    throw refused;
  }
}

/** Removes an expired file under the lock, which its host holds when it puts the lease again. Without permission the file stays. */
function removeEnded(files: Leases, key: string, atMs: number): void {
  const path = pathOf(files, key);
  try {
    withLock(files.lock, LOCK, () => {
      const stat = findStat(path);
      if (stat && hasEnded(stat, atMs)) removeFile(path);
    });
  } catch (error) {
    if (!isErrno(error, "EACCES", "EPERM", "EROFS", "EAGAIN")) throw error;
  }
}

/** @returns a message if stat fails, as for a symbolic link to itself: a host may have that lease */
function lookAt(path: string): Stat | undefined | string {
  try {
    return findStat(path);
  } catch (error) {
    if (!isErrno(error, "ELOOP", "EACCES", "EIO", "ESTALE")) throw error;
    return (error as Error).message;
  }
}

/** @returns undefined for a reservation */
const endOf = ({ modifiedNs, changedNs }: Stat): number | undefined =>
  modifiedNs - changedNs > SHORTEST_NS ? Number(modifiedNs / NS_PER_MS) : undefined;

/** The kernel's timestamps are some milliseconds late: a modification time set to the present is later than the inode's change time. */
const SHORTEST_NS = 1_000_000_000n;

const hasEnded = (stat: Stat, atMs: number): boolean => (endOf(stat) ?? Number.POSITIVE_INFINITY) <= atMs;

const stampOf = ({ device, inode, size, modifiedNs, changedNs }: Stat): string =>
  [device, inode, size, modifiedNs, changedNs].join();

function read(path: string, key: string, stat: Stat): FoundLease | undefined {
  const stamp = stampOf(stat);
  try {
    const text = textOf(path, stat);
    return text === undefined ? undefined : { stamp, lease: readLease(key, text, endOf(stat)) };
  } catch (error) {
    return { stamp, malformed: { id: key, reason: (error as Error).message } };
  }
}

function textOf(path: string, { type, size }: Stat): string | undefined {
  if (type !== "file") throw new Error(`it is not a regular file (${type})`);
  if (size > LARGEST) throw new Error(`it has ${size} bytes, too many for a lease`);
  return findText(path);
}
