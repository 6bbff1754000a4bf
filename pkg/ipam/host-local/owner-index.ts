/**
 * The owner index: what twill records about the reservations of a network, in addition to the reference plugin's files and never
 * instead of them: the owner of each reservation, found by owner, and the boot since which it is known. Without it everything still
 * works, by reading the whole directory at each release, as the reference plugin does.
 *
 *   <dataDir>/.twill/<network>/owners/<container ID>:<interface>   JSON: the owner's reservations
 *   <dataDir>/.twill/<network>/released/<address>                  time of release, where `reuseDelay` is set
 *   <dataDir>/.twill/<network>/note                                JSON: the state at the end of the last call of this boot
 *
 * No network can be named `.twill`, since names begin with a letter or digit, and the reference plugin never looks outside of its
 * network's directory.
 *
 * A record is only a claim. It is trusted after a check of the reservation's own file: that it exists and names the owner. Before a
 * record of an earlier boot takes an address from its owner, the file must also be the same one (inode and modification time),
 * since another plugin may have given the same address to the same container again.
 *
 * The directory's modification time tells whether another program has changed it. Comparing times of the kernel would miss a change
 * within the same clock tick (4 ms), so a call that ends with complete knowledge sets that time to a random moment of the last
 * second and notes it: at the next change, whoever makes it, the kernel sets it to the present. If it equals the note, in the same
 * boot, the owner index lists every reservation. The boot matters because nothing here is flushed to disk, so parts may be missing
 * after a power failure.
 *
 * Rejected: boot IDs in the reservations (the reference plugin would no longer find them); one table in one file (grows, needs
 * rebuilding, can be torn); creation times (boards without a clock); a full read after each foreign change (0.4 s with 60,000
 * reservations).
 */
import { parseAddress } from "../../ip/address.ts";
import { bootId } from "../../sys/boot-id.ts";
import { monotonicMs, nowMs } from "../../sys/clock.ts";
import { isErrno, SystemError } from "../../sys/errno.ts";
import {
  directoryOf,
  findDirectory,
  findStat,
  makeDirectories,
  overwriteFile,
  readRecord,
  removeFile,
  type Stat,
  setModified,
} from "../../sys/file.ts";
import { randomBytes } from "../../sys/random.ts";
import { encode } from "../../sys/text.ts";
import type { Owner } from "./reservation.ts";
import { pathOf, type Store } from "./reservation-files.ts";

export interface OwnerIndex {
  readonly directory: string;
  /** Boot ID of the running kernel; "" when unknown, then boots cannot be told apart. */
  readonly bootId: string;
  /** The note of the last call, if that was in this boot. */
  readonly note: Note | undefined;
  /** Whether the index lists every reservation of the network's directory. */
  complete: boolean;
  /** Becomes false when the file system refuses a write: earlier records are not lost, but nothing new is recorded. */
  usable: boolean;
  /** Whether this call has already warned of files that are no reservations. */
  hasWarned: boolean;
  /** The address, as text, that each range set allocated last, as far as known. */
  last: Record<string, string>;
  /** Range sets, as texts, without reservations of an earlier boot. */
  swept: string[];
  /**
   * The index's files that this call has read or written, by name: their texts, undefined for one that is missing. Under the lock nobody
   * else writes them.
   */
  readonly texts: Map<string, string | undefined>;
}

/** The record of an owner. */
export interface OwnerEntry {
  holdings: readonly ReservationEntry[];
  /** Written by earlier builds, whose ADD was killed before its end: there may be reservations that are not listed. */
  unfinished?: true;
}

/** One reservation of an owner. */
export interface ReservationEntry {
  /** Name of the reservation's file: the address as text. */
  name: string;
  /** Boot in which it was made or, if another plugin made it, first seen. It is not younger than that boot. */
  bootId: string;
  /** Identity of the file: inode and modification time. */
  file: string;
}

interface Note {
  bootId: string;
  /** The directory's modification time, if the index was complete then. */
  stamp?: string;
  last: Record<string, string>;
  swept: string[];
}

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

export function openOwnerIndex(store: Store): OwnerIndex {
  const slash = store.directory.lastIndexOf("/");
  const ownerIndex: OwnerIndex = {
    directory: `${store.directory.slice(0, slash)}/.twill${store.directory.slice(slash)}`,
    bootId: bootId(),
    note: undefined,
    complete: false,
    usable: true,
    hasWarned: false,
    last: {},
    swept: [],
    texts: new Map(),
  };
  const note = read(ownerIndex, "note", isNote);
  if (note?.bootId !== ownerIndex.bootId) return ownerIndex;
  const { last, swept, stamp } = note;
  return { ...ownerIndex, note, last: { ...last }, swept, complete: stamp !== undefined && stamp === stampOf(store) };
}

/** Writes the note for the next call. To be called last, under the same lock. */
export function closeOwnerIndex(ownerIndex: OwnerIndex, store: Store): void {
  const { bootId, last, swept, note, complete, usable } = ownerIndex;
  if (!usable) return;
  attempt(ownerIndex, () => {
    const hasAllocated = Object.keys(last).some((index) => last[index] !== note?.last[index]);
    const isCurrent = !hasAllocated && note?.stamp !== undefined && note.stamp === stampOf(store);
    if (isCurrent && note.swept.length === swept.length) return;
    const stamp = complete ? stampBeforeNow() : undefined;
    const text = { bootId, ...(stamp !== undefined && { stamp: `${stamp}` }), last, swept } satisfies Note;
    write(ownerIndex, "note", text);
    if (stamp !== undefined) setModified(store.directory, stamp);
  });
}

/** Returns the record of an owner; it has to be verified. */
export function findOwnerEntry(ownerIndex: OwnerIndex, owner: Owner): OwnerEntry | undefined {
  return read(ownerIndex, ownerFile(owner), isOwnerEntry);
}

export function setOwnerEntry(ownerIndex: OwnerIndex, owner: Owner, entry: OwnerEntry | undefined): void {
  if (entry && (entry.unfinished || entry.holdings.length > 0))
    write(ownerIndex, ownerFile(owner), { ...owner, ...entry });
  else remove(ownerIndex, ownerFile(owner));
}

/** Makes the record of a reservation that exists, seen in this boot. */
export function newReservationEntry(ownerIndex: OwnerIndex, store: Store, name: string): ReservationEntry {
  return { name, bootId: ownerIndex.bootId, file: identityOf(store, name) ?? "" };
}

/** Whether the reservation was certainly made in an earlier boot: recorded then, and the file is still the same. */
export function isOfEarlierBoot(ownerIndex: OwnerIndex, store: Store, holding: ReservationEntry): boolean {
  if (ownerIndex.bootId === "" || holding.bootId === "" || holding.bootId === ownerIndex.bootId) return false;
  return holding.file !== "" && holding.file === identityOf(store, holding.name);
}

/** Lists every owner that has a record. Files that we have not written are skipped. */
export function recordedOwners(ownerIndex: OwnerIndex): Owner[] {
  return (findDirectory(`${ownerIndex.directory}/owners`) ?? []).flatMap((name) => {
    const owner = ownerIn(name);
    return owner !== undefined && ownerFile(owner) === `owners/${name}` ? [owner] : [];
  });
}

function ownerIn(name: string): Owner | undefined {
  try {
    const [containerId = "", ifName = ""] = name.split(":").map(decodeURIComponent);
    return { containerId, ifName: ifName === "" ? undefined : ifName };
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/** Records that an address is released now. */
export function markReleased(ownerIndex: OwnerIndex, name: string): void {
  write(ownerIndex, `released/${name}`, { bootId: ownerIndex.bootId, ms: monotonicMs() });
}

/** Returns the milliseconds since the address was released in this boot; undefined when it was not, or the release was not recorded. */
export function sinceReleaseMs(ownerIndex: OwnerIndex, name: string): number | undefined {
  const mark = read(ownerIndex, `released/${name}`, isMark);
  return mark?.bootId === ownerIndex.bootId ? monotonicMs() - mark.ms : undefined;
}

export function forgetRelease(ownerIndex: OwnerIndex, name: string): void {
  remove(ownerIndex, `released/${name}`);
}

/** Returns the owner's file name. It is encoded: the ID may come from a file's content, so it may be any text. */
function ownerFile({ containerId, ifName }: Owner): string {
  return `owners/${encodeURIComponent(containerId.trim())}:${encodeURIComponent(ifName ?? "")}`;
}

/** Returns a time from 0 ns to 1 s before now; every later change of the directory gets a later time. */
function stampBeforeNow(): bigint {
  const [a = 0, b = 0, c = 0, d = 0] = randomBytes(4);
  const beforeNs = ((a << 22) | (b << 14) | (c << 6) | (d >> 2)) % 1_000_000_000; // 30 bits
  return BigInt(Math.floor(nowMs())) * 1_000_000n - BigInt(beforeNs);
}

const stampOf = (store: Store): string => `${findStat(store.directory)?.modifiedNs}`;

function identityOf(store: Store, name: string): string | undefined {
  const stat = findStat(pathOf(store, name), "link");
  return stat && identityIn(stat);
}

/** The identity of a file: what tells it from another one that got its name. */
export const identityIn = ({ inode, modifiedNs }: Stat): string => `${inode}@${modifiedNs}`;

/**
 * Reads a record. Files hold one line of JSON and are overwritten in place: one system call writes the first line, so a killed
 * process leaves the old or the new one. A file torn by a power failure counts as missing, and the index as incomplete.
 */
function read<T>(ownerIndex: OwnerIndex, name: string, fits: (value: unknown) => value is T): T | undefined {
  return attempt(ownerIndex, () => {
    const text = textOf(ownerIndex, name);
    if (text === undefined) return undefined;
    const value = typeof text === "string" ? parsed(text.slice(0, text.indexOf("\n"))) : undefined;
    if (fits(value)) return value;
    ownerIndex.complete = false;
    return undefined;
  });
}

function textOf({ directory, texts }: OwnerIndex, name: string): ReturnType<typeof readRecord> {
  if (texts.has(name)) return texts.get(name);
  const text = readRecord(`${directory}/${name}`);
  if (typeof text !== "object") texts.set(name, text);
  return text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function write(ownerIndex: OwnerIndex, name: string, value: unknown): void {
  const { directory, texts } = ownerIndex;
  const path = `${directory}/${name}`;
  const text = `${JSON.stringify(value)}\n`;
  const formerSize = texts.has(name) ? encode(texts.get(name) ?? "").length : undefined;
  const overwrite = () => overwriteFile(path, text, { mode: FILE_MODE, formerSize });
  texts.delete(name); // unknown, should this fail
  attempt(ownerIndex, () => {
    try {
      overwrite();
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
      makeDirectories(directoryOf(path), DIRECTORY_MODE);
      overwrite();
    }
    texts.set(name, text);
  });
}

function remove(ownerIndex: OwnerIndex, name: string): void {
  const { directory, texts } = ownerIndex;
  if (texts.has(name) && texts.get(name) === undefined) return; // is missing
  texts.delete(name);
  attempt(ownerIndex, () => {
    removeFile(`${directory}/${name}`);
    texts.set(name, undefined);
  });
}

/** Runs file operations of the index. No address depends on it, so an error of the file system (full, read-only) is not a failure. */
function attempt<T>(ownerIndex: OwnerIndex, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    ownerIndex.usable = false;
    ownerIndex.complete = false;
    return undefined;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const areTexts = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every((item) => typeof item === "string");

const isNote = (value: unknown): value is Note =>
  isRecord(value) &&
  typeof value["bootId"] === "string" &&
  (value["stamp"] === undefined || typeof value["stamp"] === "string") &&
  areTexts(value["last"]) &&
  Array.isArray(value["swept"]) &&
  areTexts(value["swept"]);

const isReservationEntry = (value: unknown): value is ReservationEntry =>
  isRecord(value) &&
  ["name", "bootId", "file"].every((key) => typeof value[key] === "string") &&
  parseAddress(String(value["name"])) !== undefined; // it becomes part of a path

const isOwnerEntry = (value: unknown): value is OwnerEntry =>
  isRecord(value) && Array.isArray(value["holdings"]) && value["holdings"].every(isReservationEntry);

const isMark = (value: unknown): value is { bootId: string; ms: number } =>
  isRecord(value) && typeof value["bootId"] === "string" && typeof value["ms"] === "number";
