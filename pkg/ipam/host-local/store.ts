/**
 * The files of one network, `<dataDir>/<network>/`, which are the reference plugin's: both plugins can serve a network at
 * once, in any order.
 *
 *   10.1.0.5              0600  whose the address is (reservation.ts); the file's existence is the reservation
 *   last_reserved_ip.0    0600  the address that range set 0 gave out last, from where the next search starts
 *   lock                  0750  empty; who changes anything holds it with flock(2)
 *
 * A reservation appears with its content or not at all, whatever kills the process: the reference plugin creates the file
 * first and leaves it empty when it dies or the disk is full. Nothing else may lie in the directory, since the reference
 * plugin reads every file below it, whatever its name, and removes those that look like the reservation it releases.
 */
import { type Address, formatAddress, parseAddress } from "../../ip/address.ts";
import { isErrno } from "../../sys/errno.ts";
import {
  appendFile,
  createFile,
  findStat,
  findText,
  forEachName,
  makeDirectories,
  overwriteFile,
  readText,
  removeDirectory,
  removeFile,
  withLock,
} from "../../sys/file.ts";
import { formatReservation, type Owner, parseReservation, sameOwner } from "./reservation.ts";

export interface Store {
  readonly directory: string;
}

/** What a reservation's file holds; "torn" when nobody's name is in it. */
export type Found = Owner | "torn";

const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o600;
const LOCK_MODE = 0o750;

/** Makes the network's directory where it is missing, with its lock or not at all: without it nobody can even look. */
export function makeStore(directory: string): Store {
  const store = { directory };
  if (findStat(directory)) return store;
  makeDirectories(directory, DIRECTORY_MODE);
  try {
    appendFile(lockOf(store), "", { mode: LOCK_MODE });
  } catch (error) {
    removeDirectory(directory);
    throw error;
  }
  return store;
}

export function findStore(directory: string): Store | undefined {
  return findStat(directory)?.type === "directory" ? { directory } : undefined;
}

/** @throws SystemError EAGAIN: others held the lock for `timeoutMs`. */
export function locked<T>(store: Store, timeoutMs: number, work: () => T): T {
  return withLock(lockOf(store), { mode: LOCK_MODE, timeoutMs }, work);
}

export const lockOf = ({ directory }: Store): string => `${directory}/lock`;

/** Names of files are texts of addresses; nobody else's text of the same address is another address. */
export const pathOf = ({ directory }: Store, name: string): string => `${directory}/${name}`;

export function isReserved(store: Store, name: string): boolean {
  return findStat(pathOf(store, name)) !== undefined;
}

/** @returns undefined when the address is free. */
export function findReservation(store: Store, name: string): Found | undefined {
  const text = findText(pathOf(store, name));
  return text === undefined ? undefined : (parseReservation(text) ?? "torn");
}

export function isHeldBy(store: Store, name: string, owner: Owner): boolean {
  const found = findReservation(store, name);
  return found !== undefined && found !== "torn" && sameOwner(found, owner);
}

/** @returns false when the address is taken, by a torn file too. */
export function createReservation(store: Store, name: string, owner: Owner): boolean {
  return createFile(pathOf(store, name), formatReservation(owner), { mode: FILE_MODE });
}

/** @returns false when there was none. */
export function removeReservation(store: Store, name: string): boolean {
  return removeFile(pathOf(store, name));
}

/** Every name in the directory that is an address, in no order, until `visit` says "stop". */
export function forEachReserved({ directory }: Store, visit: (name: string) => unknown): void {
  forEachName(directory, (name) => (parseAddress(name) ? visit(name) : undefined));
}

/** As `findReservation`, for a walk: what cannot be read (a directory of that name) is passed over. */
export function readReservation(store: Store, name: string): Found | undefined {
  try {
    return parseReservation(readText(pathOf(store, name))) ?? "torn";
  } catch (error) {
    if (isErrno(error, "ENOENT", "EISDIR", "EACCES", "EPERM", "ELOOP", "ENXIO")) return undefined;
    throw error;
  }
}

/** What range set `index` gave out last; undefined when that is unknown, which costs no more than the order. */
export function lastReserved(store: Store, index: number): Address | undefined {
  const text = findText(lastReservedPath(store, index));
  return text === undefined ? undefined : parseAddress(text.trim());
}

export function setLastReserved(store: Store, index: number, address: Address | undefined): void {
  const path = lastReservedPath(store, index);
  if (address) overwriteFile(path, formatAddress(address), { mode: FILE_MODE });
  else removeFile(path);
}

const lastReservedPath = (store: Store, index: number): string => pathOf(store, `last_reserved_ip.${index}`);
