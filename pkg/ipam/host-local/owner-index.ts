/**
 * What twill remembers about the reservations of a network, beside the reference plugin's files and never instead of them:
 * whose they are, found by owner, and since which boot they are known. Without it everything still works, by reading the
 * whole directory at each release, as the reference plugin does.
 *
 *   <dataDir>/.twill/<network>/owners/<container ID>:<interface>   JSON: what the owner holds
 *   <dataDir>/.twill/<network>/released/<address>                  when it was given back, where `reuseDelay` is set
 *   <dataDir>/.twill/<network>/note                                JSON: what the last call of this boot left behind
 *
 * No network can be called `.twill`, since names begin with a letter or digit, and the reference plugin never looks outside
 * of its network's directory.
 *
 * What is recorded is a claim. It is believed after a look at the reservation's own file: that it exists and names the
 * owner, and where a claim of an earlier boot is to cost somebody the address, that it is the same file (inode and time of
 * modification), since another plugin may have given the same address to the same container again.
 *
 * Whether somebody else has changed the directory is told by its time of modification. Comparing times of the kernel would
 * miss a change within the same clock tick (4 ms), so a call that leaves with complete knowledge sets that time to a random
 * moment of the last second and notes it: the kernel sets it to the present at the next change, whoever makes it. Equal to
 * the note, in the same boot, means: the ledger lists every reservation. The boot counts because nothing here is flushed to
 * disk, so after a power failure parts may be missing.
 *
 * Rejected: boot IDs in the reservations (the reference plugin would no longer find them); one table in one file (grows,
 * needs rebuilding, can be torn); times of creation (boards without a clock); a full read after each foreign change (0.4 s
 * with 60,000 reservations).
 */
import { parseAddress } from "../../ip/address.ts";
import { monotonicMs, nowMs } from "../../sys/clock.ts";
import { isErrno, SystemError } from "../../sys/errno.ts";
import {
  directoryOf,
  findDirectory,
  findStat,
  findText,
  makeDirectories,
  overwriteFile,
  readRecord,
  removeFile,
  setModified,
} from "../../sys/file.ts";
import { randomBytes } from "../../sys/random.ts";
import type { Owner } from "./reservation.ts";
import { pathOf, type Store } from "./store.ts";

export interface OwnerIndex {
  readonly directory: string;
  /** Of the running kernel, "" when unknown: then no boot is told from another. */
  readonly bootId: string;
  /** What the last call left behind, if it was in this boot. */
  readonly note: Note | undefined;
  /** Whether it lists every reservation of the network's directory. */
  complete: boolean;
  /** Becomes false when the file system refuses to be written: nothing recorded before is lost, nothing new is kept. */
  usable: boolean;
  /** This call has told of files that are no reservations. */
  hasWarned: boolean;
  /** Text of the address that each range set gave out last, as far as is known. */
  last: Record<string, string>;
  /** Range sets, as texts, in which nothing is left of an earlier boot. */
  swept: string[];
}

/** What is recorded of an owner. */
export interface OwnerEntry {
  holdings: readonly ReservationEntry[];
  /** An ADD has begun and was killed before its end: there may be reservations that are not listed. */
  unfinished?: true;
}

/** One reservation of an owner. */
export interface ReservationEntry {
  /** Of the reservation's file: the address as text. */
  name: string;
  /** The boot in which it was made or, if another plugin made it, first seen: it is not younger than that boot. */
  bootId: string;
  /** Which file it was: inode and time of modification. */
  file: string;
}

interface Note {
  bootId: string;
  /** The directory's time of modification, if the ledger was complete then. */
  stamp?: string;
  last: Record<string, string>;
  swept: string[];
}

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
const BOOT_ID = "/proc/sys/kernel/random/boot_id";

export function openOwnerIndex(store: Store): OwnerIndex {
  const slash = store.directory.lastIndexOf("/");
  const ownerIndex: OwnerIndex = {
    directory: `${store.directory.slice(0, slash)}/.twill${store.directory.slice(slash)}`,
    bootId: findText(BOOT_ID)?.trim() ?? "",
    note: undefined,
    complete: false,
    usable: true,
    hasWarned: false,
    last: {},
    swept: [],
  };
  const note = read(ownerIndex, "note", isNote);
  if (note?.bootId !== ownerIndex.bootId) return ownerIndex;
  const { last, swept, stamp } = note;
  return { ...ownerIndex, note, last: { ...last }, swept, complete: stamp !== undefined && stamp === stampOf(store) };
}

/** Notes what the next call has to know. To be called when everything else is done, under the same lock. */
export function closeOwnerIndex(ownerIndex: OwnerIndex, store: Store): void {
  const { bootId, last, swept, note, complete, usable } = ownerIndex;
  const isUnchanged = note?.stamp !== undefined && note.stamp === stampOf(store) && note.swept.length === swept.length;
  if (!usable || isUnchanged) return;
  attempt(ownerIndex, () => {
    const stamp = complete ? stampBeforeNow() : undefined;
    const text = { bootId, ...(stamp !== undefined && { stamp: `${stamp}` }), last, swept } satisfies Note;
    write(ownerIndex, "note", text);
    if (stamp !== undefined) setModified(store.directory, stamp);
  });
}

/** What is recorded of an owner: claims, to be verified. */
export function findOwnerEntry(ownerIndex: OwnerIndex, owner: Owner): OwnerEntry | undefined {
  return read(ownerIndex, ownerFile(owner), isOwnerEntry);
}

export function setOwnerEntry(ownerIndex: OwnerIndex, owner: Owner, entry: OwnerEntry | undefined): void {
  if (entry && (entry.unfinished || entry.holdings.length > 0))
    write(ownerIndex, ownerFile(owner), { ...owner, ...entry });
  else remove(ownerIndex, ownerFile(owner));
}

/** A holding of a reservation that exists, seen in this boot. */
export function newReservationEntry(ownerIndex: OwnerIndex, store: Store, name: string): ReservationEntry {
  return { name, bootId: ownerIndex.bootId, file: identityOf(store, name) ?? "" };
}

/** Whether the reservation was certainly made in an earlier boot: recorded then, and still the same file. */
export function isOfEarlierBoot(ownerIndex: OwnerIndex, store: Store, holding: ReservationEntry): boolean {
  if (ownerIndex.bootId === "" || holding.bootId === "" || holding.bootId === ownerIndex.bootId) return false;
  return holding.file !== "" && holding.file === identityOf(store, holding.name);
}

/** Every owner of whom something is recorded. Files that we have not written are passed over. */
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

/** Notes that an address is given back now. */
export function markReleased(ownerIndex: OwnerIndex, name: string): void {
  write(ownerIndex, `released/${name}`, { bootId: ownerIndex.bootId, ms: monotonicMs() });
}

/** Milliseconds since the address was given back in this boot; undefined when it was not, or nobody noted it. */
export function sinceReleaseMs(ownerIndex: OwnerIndex, name: string): number | undefined {
  const mark = read(ownerIndex, `released/${name}`, isMark);
  return mark?.bootId === ownerIndex.bootId ? monotonicMs() - mark.ms : undefined;
}

export function forgetRelease(ownerIndex: OwnerIndex, name: string): void {
  remove(ownerIndex, `released/${name}`);
}

/** The ID comes from a file's content, so it may be anything. */
function ownerFile({ containerId, ifName }: Owner): string {
  return `owners/${encodeURIComponent(containerId.trim())}:${encodeURIComponent(ifName ?? "")}`;
}

/** Later than any moment is 0 ns to 1 s before now, so no change to come can have this time. */
function stampBeforeNow(): bigint {
  const [a = 0, b = 0, c = 0, d = 0] = randomBytes(4);
  const beforeNs = ((a << 22) | (b << 14) | (c << 6) | (d >> 2)) % 1_000_000_000; // 30 bits
  return BigInt(Math.floor(nowMs())) * 1_000_000n - BigInt(beforeNs);
}

const stampOf = (store: Store): string => `${findStat(store.directory)?.modifiedNs}`;

function identityOf(store: Store, name: string): string | undefined {
  const stat = findStat(pathOf(store, name), "link");
  return stat && `${stat.inode}@${stat.modifiedNs}`;
}

/**
 * Files hold one line of JSON and are overwritten in place: the first line is written by one system call, so a killed
 * process leaves the old or the new one. What is torn by a power failure counts as missing, and the ledger as incomplete.
 */
function read<T>(ownerIndex: OwnerIndex, name: string, fits: (value: unknown) => value is T): T | undefined {
  return attempt(ownerIndex, () => {
    const text = readRecord(`${ownerIndex.directory}/${name}`);
    if (text === undefined) return undefined;
    const value = typeof text === "string" ? parsed(text.slice(0, text.indexOf("\n"))) : undefined;
    if (fits(value)) return value;
    ownerIndex.complete = false;
    return undefined;
  });
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
  const path = `${ownerIndex.directory}/${name}`;
  const overwrite = () => overwriteFile(path, `${JSON.stringify(value)}\n`, { mode: FILE_MODE });
  attempt(ownerIndex, () => {
    try {
      overwrite();
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
      makeDirectories(directoryOf(path), DIRECTORY_MODE);
      overwrite();
    }
  });
}

function remove(ownerIndex: OwnerIndex, name: string): void {
  attempt(ownerIndex, () => removeFile(`${ownerIndex.directory}/${name}`));
}

/** Nobody's address depends on the ledger, so what the file system refuses here (full, read-only) is not a failure. */
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
