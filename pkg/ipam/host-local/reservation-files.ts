/**
 * The files of one network in `<dataDir>/<network>/`. They are those of the reference plugin, so both plugins can serve a network
 * at once, in any order.
 *
 *   10.1.0.5              0600  the owner of the address (reservation.ts); the existence of the file is the reservation
 *   last_reserved_ip.0    0600  the address that range set 0 allocated last, where the next search starts
 *   lock                  0750  empty; a process holds it with flock(2) while it changes anything
 *
 * A reservation appears with its content or not at all, even if the process is killed: the reference plugin creates the file first,
 * and leaves it empty when it is killed or the disk is full. No other file may be in the directory, since the reference plugin
 * reads every file below it, whatever its name, and removes those that look like the reservation it releases.
 */
import { type Address, formatAddress, parseAddress } from "../../ip/address.ts";
import {
  appendFile,
  createFile,
  findStat,
  forEachName,
  makeDirectories,
  overwriteFile,
  readRecord,
  removeDirectory,
  removeFile,
  type Stat,
  withLock,
} from "../../sys/file.ts";
import { encode } from "../../sys/text.ts";
import { formatReservation, type Owner, type Ownerless, parseReservation, sameOwner } from "./reservation.ts";

export interface Store {
  readonly directory: string;
}

/** The content of a reservation's file. */
export type ReservationContent = Owner | Ownerless;

const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o600;
const LOCK_MODE = 0o750;

/** Makes the network's directory, together with its lock or not at all: without the lock no plugin can use the directory. */
function makeStore(store: Store): void {
  makeDirectories(store.directory, DIRECTORY_MODE);
  try {
    appendFile(lockOf(store), "", { mode: LOCK_MODE });
  } catch (error) {
    removeDirectory(store.directory);
    throw error;
  }
}

export function findStore(directory: string): Store | undefined {
  return findStat(directory)?.type === "directory" ? { directory } : undefined;
}

/** Runs `work` under the lock; makes the store if missing. @throws SystemError EAGAIN: other processes held the lock for `timeoutMs`. */
export function locked<T>(store: Store, timeoutMs: number, work: () => T): T {
  return withLock(lockOf(store), { mode: LOCK_MODE, timeoutMs, makeDirectory: () => makeStore(store) }, work);
}

export const lockOf = ({ directory }: Store): string => `${directory}/lock`;

/** Names of files are texts of addresses; nobody else's text of the same address is another address. */
export const pathOf = ({ directory }: Store, name: string): string => `${directory}/${name}`;

export function isReserved(store: Store, name: string): boolean {
  return findStat(pathOf(store, name), "link") !== undefined;
}

/** Reads a reservation. @returns undefined when the address is free. */
export function findReservation(store: Store, name: string): ReservationContent | undefined {
  const text = readRecord(pathOf(store, name));
  if (text === undefined) return undefined;
  return typeof text === "string" ? parseReservation(text) : "unknown";
}

export const isOwner = (found: ReservationContent | undefined): found is Owner => typeof found === "object";

export function isHeldBy(store: Store, name: string, owner: Owner): boolean {
  const found = findReservation(store, name);
  return isOwner(found) && sameOwner(found, owner);
}

/**
 * Reserves an address.
 *
 * @param beforeItAppears Called when the file has its content and not yet its name.
 * @returns false when the address is taken, even by a file that names no container.
 */
export function createReservation(
  store: Store,
  name: string,
  owner: Owner,
  beforeItAppears: (stat: Stat) => void,
): boolean {
  return createFile(pathOf(store, name), formatReservation(owner), { mode: FILE_MODE, beforeItAppears });
}

/** Removes a reservation. @returns false when there was none. */
export function removeReservation(store: Store, name: string): boolean {
  return removeFile(pathOf(store, name));
}

/** Visits every name in the directory that is an address, unordered, until `visit` returns "stop". */
export function forEachReserved({ directory }: Store, visit: (name: string) => unknown): void {
  forEachName(directory, (name) => (parseAddress(name) ? visit(name) : undefined));
}

/** The content of a last_reserved_ip file. */
export interface LastReserved {
  address: Address;
  /** The size of the file in bytes. */
  size: number;
}

/** Returns the last address of range set `index`; undefined when unknown, which affects only the order of allocation. */
export function lastReserved(store: Store, index: number): LastReserved | undefined {
  const text = readRecord(lastReservedPath(store, index));
  const address = typeof text === "string" ? parseAddress(text.trim()) : undefined;
  return address && { address, size: encode(text as string).length };
}

/** @param former The present content, where that is known. */
export function setLastReserved(store: Store, index: number, address: Address, former: LastReserved | undefined): void {
  const text = formatAddress(address);
  overwriteFile(lastReservedPath(store, index), text, { mode: FILE_MODE, formerSize: former?.size });
}

export function removeLastReserved(store: Store, index: number): void {
  removeFile(lastReservedPath(store, index));
}

const lastReservedPath = (store: Store, index: number): string => pathOf(store, `last_reserved_ip.${index}`);
