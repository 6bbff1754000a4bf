/** Files and directories. All files are opened close-on-exec; modes are subject to the process's umask. */
import { native } from "#native";
import { monotonicMs, sleepMs } from "./clock.ts";
import { Errno, type ErrnoName, isErrno, SystemError } from "./errno.ts";
import { noteClosed, noteOpened } from "./left-open.ts";
import { waitReadable, waitWritable } from "./poll.ts";
import { randomHex } from "./random.ts";
import { ask, call } from "./syscall.ts";
import { decode, encode } from "./text.ts";

/** asm-generic/fcntl.h; for the two that differ on arm64, asm/fcntl.h. */
export const Open = {
  readOnly: 0,
  writeOnly: 1,
  readWrite: 2,
  create: 0o100,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
  nonBlocking: 0o4000,
  directory: native.arch === "x64" ? 0o200000 : 0o40000,
  noFollow: native.arch === "x64" ? 0o400000 : 0o100000,
  /** Neither reads nor writes: the descriptor stands for the file, of whatever type. */
  path: 0o10000000,
} as const;
const O_CLOEXEC = 0o2000000;
const O_TMPFILE = 0o20000000 | Open.directory;

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_SYMLINK_FOLLOW = 0x400;
const AT_REMOVEDIR = 0x200;

/** The attributes of a file or directory. */
export interface Stat {
  type: "file" | "directory" | "link" | "other";
  /** Device and inode together identify a file, whatever the path. */
  device: bigint;
  inode: bigint;
  /** Number of hard links. */
  links: number;
  /** Permission bits. */
  mode: number;
  /** User and group. */
  owner: number;
  group: number;
  size: number;
  /** Nanoseconds since 1970. */
  modifiedNs: bigint;
  changedNs: bigint;
}

export function openFile(path: string, flags: number, mode = 0): number {
  return noteOpened(call("openat", path, AT_FDCWD, path, flags | O_CLOEXEC, mode));
}

export function closeFile(fd: number): void {
  ask("close", fd); // the descriptor is closed even when this fails
  noteClosed(fd);
}

export function readFile(path: string): Uint8Array {
  const fd = openFile(path, Open.readOnly);
  try {
    return readAll(fd, path);
  } finally {
    closeFile(fd);
  }
}

export const readText = (path: string): string => decode(readFile(path));

/** Returns the file's text, undefined when there is no such file. An exception instead would cost 10 us. */
export function findText(path: string): string | undefined {
  const fd = ask("openat", AT_FDCWD, path, Open.readOnly | O_CLOEXEC, 0);
  if (fd === -Errno.ENOENT || fd === -Errno.ENOTDIR) return undefined;
  if (fd < 0) throw new SystemError("openat", -fd, path);
  try {
    return decode(readAll(fd, path));
  } finally {
    closeFile(fd);
  }
}

/**
 * Returns the text of a file of `/proc/sys`, which the kernel gives in one read; undefined when there is no such file. Other files of /proc
 * can come in parts that do not fill the buffer: `findText`.
 */
export function findKernelText(path: string): string | undefined {
  const fd = ask("openat", AT_FDCWD, path, Open.readOnly | O_CLOEXEC, 0);
  if (fd === -Errno.ENOENT || fd === -Errno.ENOTDIR) return undefined;
  if (fd < 0) throw new SystemError("openat", -fd, path);
  try {
    return decode(readRegular(fd, path));
  } finally {
    closeFile(fd);
  }
}

/** The path exists, but has no text that one of our programs could have written, so it proves nothing. */
export interface Unreadable {
  /** Completes "the file …": `is a directory`, `cannot be read (EIO)`. */
  problem: string;
  /** Whether it is for others to read. */
  isForbidden?: true;
}

/**
 * Reads a file that one of our programs keeps for itself, for loops over many files: one that cannot be read must not end the loop.
 * Never blocks, as opening a FIFO without a writer would.
 *
 * @returns undefined when there is no such file
 * @throws SystemError for errors that are not the file's (ENOMEM, EMFILE)
 */
export function readRecord(path: string): string | Unreadable | undefined {
  const found = readOnce(path);
  const mayPass = typeof found === "object" && found.problem === unreadableBy("EIO"); // may be temporary, as on network storage
  return mayPass ? readOnce(path) : found;
}

const unreadableBy = (code: string): string => `cannot be read (${code})`;

function readOnce(path: string): string | Unreadable | undefined {
  const fd = ask("openat", AT_FDCWD, path, Open.readOnly | Open.nonBlocking | O_NOCTTY | O_CLOEXEC, 0);
  if (fd === -Errno.ENOENT || fd === -Errno.ENOTDIR) return undefined;
  try {
    if (fd < 0) throw new SystemError("openat", -fd, path);
    const bytes = readRegular(fd, path, LARGEST_RECORD);
    if (bytes.length > LARGEST_RECORD) return { problem: `has more than ${LARGEST_RECORD >> 10} kB` };
    const isOther = bytes.length === 0 && findStat(path)?.type === "other"; // reading a FIFO without a writer gives end of file at once
    return isOther ? { problem: "is a FIFO or a device" } : decode(bytes);
  } catch (error) {
    if (!(error instanceof SystemError) || !isErrno(error, ...FAULTS_OF_FILE)) throw error;
    if (error.errno === Errno.EISDIR) return { problem: "is a directory" };
    return { problem: unreadableBy(error.code), ...(isErrno(error, "EACCES", "EPERM") && { isForbidden: true }) };
  } finally {
    if (fd >= 0) closeFile(fd);
  }
}
const O_NOCTTY = 0o400;
const LARGEST_RECORD = 1 << 20;
/** The errors that a file itself can cause; XFS and ext4 report the last two for damaged blocks. */
const FAULTS_OF_FILE =
  "EISDIR EACCES EPERM ELOOP ENXIO ENODEV EIO EAGAIN EINVAL ESTALE ENAMETOOLONG EOVERFLOW EBADMSG EUCLEAN".split(
    " ",
  ) as ErrnoName[];

/**
 * Reads to the end of a descriptor.
 *
 * @param limit stops after the first read that makes it more than this many bytes.
 * @param whenEmpty Called where a descriptor with O_NONBLOCK has nothing yet; EAGAIN is thrown when absent.
 */
export const readAll = (
  fd: number,
  path: string | undefined,
  limit = Number.POSITIVE_INFINITY,
  whenEmpty?: () => void,
): Uint8Array => readUntil((count) => count === 0, { fd, path, limit, whenEmpty });

/** Reads a regular file: a read that does not fill the buffer has reached its end. @param limit as of `readAll` */
const readRegular = (fd: number, path: string, limit = Number.POSITIVE_INFINITY): Uint8Array =>
  readUntil((count, room) => count < room, { fd, path, limit });

interface Reading {
  fd: number;
  path: string | undefined;
  limit: number;
  whenEmpty?: (() => void) | undefined;
}

/** Reads until a read is the last one, as told by the bytes that it read and those for which there was room. */
function readUntil(
  isLast: (count: number, room: number) => boolean,
  { fd, path, limit, whenEmpty }: Reading,
): Uint8Array {
  let buffer = new Uint8Array(4096);
  let length = 0;
  for (;;) {
    if (length === buffer.length) {
      const larger = new Uint8Array(4 * buffer.length);
      larger.set(buffer);
      buffer = larger;
    }
    const room = buffer.length - length;
    const count = ask("read", fd, length === 0 ? buffer : buffer.subarray(length), room);
    if (count === -Errno.EAGAIN && whenEmpty !== undefined) {
      whenEmpty();
      continue;
    }
    if (count < 0) throw new SystemError("read", -count, path);
    length += count;
    if (isLast(count, room) || length > limit) return buffer.subarray(0, length);
  }
}

/** Reads a descriptor that another process has opened, and may have set to O_NONBLOCK: waits for what is to come. */
export const readStream = (fd: number, path: string, limit: number): Uint8Array =>
  readAll(fd, path, limit, () => waitReadable([fd], undefined));

/** Reads the first line of a descriptor, without waiting for more than that: what a person types. */
export function readLine(fd: number, path: string): string {
  const buffer = new Uint8Array(4096);
  let length = 0;
  while (length < buffer.length && !buffer.subarray(0, length).includes(NEWLINE)) {
    const count = call("read", path, fd, buffer.subarray(length), buffer.length - length);
    if (count === 0) break;
    length += count;
  }
  return decode(buffer, 0, length).split("\n", 1)[0] ?? "";
}
const NEWLINE = 0x0a;

/** Writes all. @param whenFull as `whenEmpty` of `readAll` */
export function writeAll(fd: number, data: Uint8Array, path?: string, whenFull?: () => void): void {
  for (let from = 0; from < data.length; ) {
    const count = ask("write", fd, from === 0 ? data : data.subarray(from), data.length - from);
    if (count === -Errno.EAGAIN && whenFull !== undefined) whenFull();
    else if (count < 0) throw new SystemError("write", -count, path);
    else from += count;
  }
}

/** Writes to a descriptor that another process has opened, and may have set to O_NONBLOCK: waits until there is room. */
export const writeStream = (fd: number, data: Uint8Array, path: string): void =>
  writeAll(fd, data, path, () => waitWritable(fd));

/** Overwrites the file in place, or creates it. */
export function writeFile(path: string, data: Uint8Array | string, { mode }: { mode: number }): void {
  writeOpened(path, Open.writeOnly | Open.create | Open.truncate, mode, data);
}

/**
 * Overwrites the file in place without truncating it first, or creates it. On ext4 that takes 4 us instead of 100 (no block is
 * freed), and on a full disk nothing is lost. If the process is killed in between, the end of a longer old text remains after the
 * new one.
 *
 * @param options.formerSize The bytes that the file had, where that is known: one that does not get shorter need not be cut.
 */
export function overwriteFile(
  path: string,
  data: Uint8Array | string,
  { mode, formerSize = Number.POSITIVE_INFINITY }: { mode: number; formerSize?: number | undefined },
): void {
  const bytes = bytesOf(data);
  const fd = openFile(path, Open.writeOnly | Open.create | Open.nonBlocking, mode); // ENXIO: a FIFO without a reader
  try {
    writeAll(fd, bytes, path);
    if (bytes.length < formerSize) call("ftruncate", path, fd, bytes.length);
  } finally {
    closeFile(fd);
  }
}

export function appendFile(path: string, data: Uint8Array | string, { mode }: { mode: number }): void {
  writeOpened(path, Open.writeOnly | Open.create | Open.append, mode, data);
}

/** Writes to a file that must exist, in one write, as sysctls and other files of the kernel require. */
export function writeExisting(path: string, data: Uint8Array | string): void {
  writeOpened(path, Open.writeOnly, 0, data);
}

/**
 * Replaces the file by a new one with this content: readers see the old or the new one, never a part.
 *
 * @param options.ignoreUmask Give the file exactly this mode.
 */
export function replaceFile(
  path: string,
  data: Uint8Array | string,
  { mode, ignoreUmask = false }: { mode: number; ignoreUmask?: boolean },
): void {
  const temporary = `${path}.${randomHex(4)}.tmp`;
  try {
    writeOpened(temporary, Open.writeOnly | Open.create | Open.exclusive, mode, data);
    if (ignoreUmask) call("fchmodat", temporary, AT_FDCWD, temporary, mode);
    rename(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}

/**
 * Creates a file, in which a reader can find a part of its content meanwhile. Unlike `createFile` it needs nothing but the directory.
 *
 * @returns false when the name already exists.
 */
export function writeNewFile(path: string, data: Uint8Array | string, { mode }: { mode: number }): boolean {
  const fd = ask("openat", AT_FDCWD, path, Open.writeOnly | Open.create | Open.exclusive | O_CLOEXEC, mode);
  if (fd === -Errno.EEXIST) return false;
  if (fd < 0) throw new SystemError("openat", -fd, path);
  try {
    writeAll(fd, bytesOf(data), path);
    return true;
  } catch (error) {
    removeFile(path);
    throw error;
  } finally {
    closeFile(fd);
  }
}

export interface NewFile {
  mode: number;
  /** Called with the attributes of the file when it has its content, before it appears. */
  beforeItAppears?: (stat: Stat) => void;
}

/**
 * Creates a file that appears with its whole content or not at all, even if this process is killed.
 *
 * @returns false when the name already exists.
 */
export function createFile(path: string, data: Uint8Array | string, options: NewFile): boolean {
  const fd = ask("openat", AT_FDCWD, directoryOf(path), O_TMPFILE | Open.writeOnly | O_CLOEXEC, options.mode);
  if (hasNoTmpfile(fd)) return createByLink(path, data, options);
  if (fd < 0) throw new SystemError("openat", -fd, path);
  try {
    writeAll(fd, bytesOf(data), path);
    const unnamed = `/proc/self/fd/${fd}`;
    options.beforeItAppears?.(needStat(unnamed));
    return linked(ask("linkat", AT_FDCWD, unnamed, AT_FDCWD, path, AT_SYMLINK_FOLLOW), path);
  } finally {
    closeFile(fd);
  }
}

/** Reports whether this process may create files in the directory, or where that would be made. */
export function isWritableDirectory(directory: string): boolean {
  const result = ask("faccessat", AT_FDCWD, directory, W_OK);
  const parent = directoryOf(directory);
  return result === -Errno.ENOENT && parent !== directory ? isWritableDirectory(parent) : result === 0;
}
const W_OK = 2;

/**
 * Checks that a file can be created in the directory, or where that would be made, by creating one without a name, which is gone when
 * this returns. Where the file system has no O_TMPFILE, nothing is tried.
 *
 * @throws SystemError why it cannot: EROFS, ENOSPC, EACCES ...
 */
export function probeDirectory(directory: string): void {
  const parent = directoryOf(directory);
  if (findStat(directory) === undefined && parent !== directory) probeDirectory(parent);
  else probeFile(directory);
}

function probeFile(directory: string): void {
  const fd = ask("openat", AT_FDCWD, directory, O_TMPFILE | Open.writeOnly | O_CLOEXEC, 0o600);
  if (hasNoTmpfile(fd)) return;
  if (fd < 0) throw new SystemError("openat", -fd, directory);
  try {
    writeAll(fd, encode(PROBE), directory);
  } finally {
    closeFile(fd);
  }
}

/** A text as long as a typical record. */
const PROBE = "x".repeat(64);

const hasNoTmpfile = (result: number): boolean =>
  result === -Errno.EOPNOTSUPP || result === -Errno.EISDIR || result === -Errno.EINVAL;

/**
 * Creates a file where the file system has no O_TMPFILE (9p, some network file systems): through a temporary file in the parent of
 * the directory, so that no program that lists the directory finds it.
 */
function createByLink(path: string, data: Uint8Array | string, { mode, beforeItAppears }: NewFile): boolean {
  const temporary = `${directoryOf(directoryOf(path))}/.twill-${randomHex(8)}.tmp`;
  writeOpened(temporary, Open.writeOnly | Open.create | Open.exclusive, mode, data);
  try {
    beforeItAppears?.(needStat(temporary));
    return linked(ask("linkat", AT_FDCWD, temporary, AT_FDCWD, path, 0), path);
  } finally {
    ask("unlinkat", AT_FDCWD, temporary, 0); // what it says does not change that the file is there, or why it is not
  }
}

function linked(result: number, path: string): boolean {
  if (result < 0 && result !== -Errno.EEXIST) throw new SystemError("linkat", -result, path);
  return result === 0;
}

/** Creates a hard link. @returns false when the name already exists. */
export function linkFile(from: string, to: string): boolean {
  return linked(ask("linkat", AT_FDCWD, from, AT_FDCWD, to, 0), to);
}

/** Waits until the file and its directory entries are on the disk. */
export function syncFile(path: string): void {
  const fd = openFile(path, Open.readOnly);
  try {
    call("fsync", path, fd);
  } finally {
    closeFile(fd);
  }
}

/** Removes a file. @returns false when there was none. */
export function removeFile(path: string): boolean {
  return removed(ask("unlinkat", AT_FDCWD, path, 0), path);
}

/** Removes an empty directory. @returns false when there was none. */
export function removeDirectory(path: string): boolean {
  return removed(ask("unlinkat", AT_FDCWD, path, AT_REMOVEDIR), path);
}

function removed(result: number, path: string): boolean {
  if (result < 0 && result !== -Errno.ENOENT && result !== -Errno.ENOTDIR)
    throw new SystemError("unlinkat", -result, path);
  return result === 0;
}

export function rename(from: string, to: string): void {
  call("renameat2", to, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/** Creates the directory and its missing parents. */
export function makeDirectories(path: string, mode: number): void {
  const parent = directoryOf(path);
  let result = makeDirectory(path, mode);
  if (result === -Errno.ENOENT && path !== parent) {
    makeDirectories(parent, mode);
    result = makeDirectory(path, mode); // ENOENT again where the kernel makes no directories, as below /proc
  }
  if (result < 0) throw new SystemError("mkdirat", -result, path);
}

/** Creates the directory unless it exists. @returns 0, or the kernel's refusal. */
function makeDirectory(path: string, mode: number): number {
  const result = ask("mkdirat", AT_FDCWD, path, mode);
  return result === -Errno.EEXIST && findStat(path, "follow")?.type === "directory" ? 0 : result;
}

/** Returns the names in the directory, sorted, without `.` and `..`. */
export function listDirectory(path: string): string[] {
  const names: string[] = [];
  forEachName(path, (name) => names.push(name));
  return names.sort();
}

/** Returns the names in the directory, sorted; undefined when there is no such directory. */
export function findDirectory(path: string): string[] | undefined {
  try {
    return listDirectory(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/**
 * Calls `visit` with each name in the directory until it returns "stop", in the order of the file system: for directories too large
 * to sort. Files may be removed meanwhile; files created meanwhile may or may not be visited.
 */
export function forEachName(path: string, visit: (name: string) => unknown): void {
  const fd = openFile(path, Open.readOnly | Open.directory);
  try {
    forEachEntry(fd, path, visit);
  } finally {
    closeFile(fd);
  }
}

/** struct linux_dirent64: inode u64, offset s64, length u16, type u8, name. */
function forEachEntry(fd: number, path: string, visit: (name: string) => unknown): void {
  const buffer = new Uint8Array(32768);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const size = call("getdents64", path, fd, buffer, buffer.length);
    if (size === 0) return;
    for (let at = 0; at < size; at += view.getUint16(at + 16, true)) {
      const name = decode(buffer, at + 19, buffer.indexOf(0, at + 19));
      if (name !== "." && name !== ".." && visit(name) === "stop") return;
    }
  }
}

/** Returns the inode of what a path leads to, as a text, which records and keys have it as; undefined: nothing is there. */
export function inodeAt(path: string): string | undefined {
  const inode = findStat(path)?.inode;
  return inode === undefined ? undefined : String(inode);
}

/** Returns the attributes of `path`; undefined when it does not exist. A symbolic link is followed unless `link` is "link". */
export function findStat(path: string, link: "follow" | "link" = "follow"): Stat | undefined {
  const buffer = new Uint8Array(256);
  const flags = link === "link" ? AT_SYMLINK_NOFOLLOW : 0;
  const result = ask("statx", AT_FDCWD, path, flags, STATX_BASIC_STATS, buffer);
  if (result === -Errno.ENOENT || result === -Errno.ENOTDIR) return undefined;
  if (result < 0) throw new SystemError("statx", -result, path);
  return new StatOf(new DataView(buffer.buffer));
}
const STATX_BASIC_STATS = 0x7ff;

/** A struct statx of linux/stat.h. Each field is read when it is asked for: most callers want one or two, and an interpreter takes long for numbers of 64 bits. */
class StatOf implements Stat {
  readonly #buffer: DataView;

  constructor(buffer: DataView) {
    this.#buffer = buffer;
  }

  get type(): Stat["type"] {
    return FILE_TYPES[this.#buffer.getUint16(28, true) >> 12] ?? "other";
  }

  get device(): bigint {
    return (BigInt(this.#buffer.getUint32(136, true)) << 32n) | BigInt(this.#buffer.getUint32(140, true));
  }

  get inode(): bigint {
    return this.#buffer.getBigUint64(32, true);
  }

  get links(): number {
    return this.#buffer.getUint32(16, true);
  }

  get owner(): number {
    return this.#buffer.getUint32(20, true);
  }

  get group(): number {
    return this.#buffer.getUint32(24, true);
  }

  get mode(): number {
    return this.#buffer.getUint16(28, true) & 0o7777;
  }

  get size(): number {
    return this.#buffer.getUint32(40, true) + 2 ** 32 * this.#buffer.getUint32(44, true);
  }

  get modifiedNs(): bigint {
    return timestamp(this.#buffer, 112);
  }

  get changedNs(): bigint {
    return timestamp(this.#buffer, 96);
  }
}

function needStat(path: string): Stat {
  const stat = findStat(path);
  if (stat === undefined) throw new SystemError("statx", Errno.ENOENT, path);
  return stat;
}

const FILE_TYPES: Record<number, Stat["type"]> = { 8: "file", 4: "directory", 10: "link" }; // S_IFREG, S_IFDIR, S_IFLNK

/** struct statx_timestamp: seconds s64, nanoseconds u32. */
const timestamp = (buffer: DataView, at: number): bigint =>
  buffer.getBigInt64(at, true) * 1_000_000_000n + BigInt(buffer.getUint32(at + 8, true));

/** Sets the modification time of a file or directory; its next change sets it to the present again. */
export function setModified(path: string, modifiedNs: bigint, link: "follow" | "link" = "follow"): void {
  const times = new DataView(new ArrayBuffer(32)); // struct timespec for access, then for modification
  times.setUint32(8, UTIME_OMIT, true);
  times.setBigInt64(16, modifiedNs / 1_000_000_000n, true);
  times.setBigInt64(24, modifiedNs % 1_000_000_000n, true);
  call("utimensat", path, AT_FDCWD, path, new Uint8Array(times.buffer), link === "link" ? AT_SYMLINK_NOFOLLOW : 0);
}
const UTIME_OMIT = 0x3ffffffe; // linux/stat.h

export function readLink(path: string): string {
  const target = new Uint8Array(4096);
  return decode(target, 0, call("readlinkat", path, AT_FDCWD, path, target, target.length));
}

/** Returns the magic number of the file system that holds `path` (linux/magic.h). */
export function fileSystemType(path: string): number {
  const buffer = new DataView(new ArrayBuffer(128));
  call("statfs", path, path, new Uint8Array(buffer.buffer));
  return buffer.getUint32(0, true);
}

/**
 * Runs `work` while this process alone holds the lock of a file, which is created when missing, or of a directory. Programs in
 * other languages take part by flock(2) on the same path.
 *
 * @param options.makeDirectory Called when the directory of the file is missing.
 * @throws SystemError EAGAIN: another process held it for `timeoutMs`.
 */
export function withLock<T>(
  path: string,
  { mode, timeoutMs, makeDirectory }: { mode: number; timeoutMs: number; makeDirectory?: () => void },
  work: () => T,
): T {
  return withLockedFile(openLock(path, mode, makeDirectory), path, timeoutMs, work);
}

/**
 * Runs `work` under the lock of a directory, which is made when it is missing. Whoever has the lock may remove the directory: then those who have waited
 * for it, and those who come, wait for one directory, the new one.
 */
export function withDirectoryLock<T>(
  path: string,
  { mode, timeoutMs }: { mode: number; timeoutMs: number },
  work: () => T,
): T {
  for (;;) {
    const fd = openDirectory(path, mode);
    try {
      lock(fd, path, timeoutMs);
      if (isOpenAt(fd, path)) return work();
    } finally {
      ask("flock", fd, LOCK_UN); // a process that `work` has forked has the descriptor too: closing ours alone would leave the lock to it
      closeFile(fd);
    }
  }
}

function openDirectory(path: string, mode: number): number {
  for (;;) {
    makeDirectories(path, mode);
    try {
      return openFile(path, Open.readOnly | Open.directory);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error; // removed in between
    }
  }
}

/** Reports whether the path leads to the file that is open, and not to another one by now. */
function isOpenAt(fd: number, path: string): boolean {
  const opened = needStat(`/proc/self/fd/${fd}`);
  const there = findStat(path);
  return there !== undefined && there.inode === opened.inode && there.device === opened.device;
}

function openLock(path: string, mode: number, makeDirectory?: () => void): number {
  try {
    return openFile(path, Open.readWrite | Open.create, mode);
  } catch (error) {
    if (isErrno(error, "ENOENT") && makeDirectory !== undefined) {
      makeDirectory();
      return openLock(path, mode);
    }
    if (!isErrno(error, "EISDIR")) throw error;
    return openFile(path, Open.readOnly | Open.directory);
  }
}

/** Runs `work` under the lock of a file that is open, then closes the file. */
export function withLockedFile<T>(fd: number, path: string, timeoutMs: number, work: () => T): T {
  try {
    lock(fd, path, timeoutMs);
    return work();
  } finally {
    closeFile(fd); // which releases the lock
  }
}
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** Polls at growing intervals, since a blocking flock has no timeout. */
function lock(fd: number, path: string, timeoutMs: number): void {
  let started: number | undefined;
  for (let pauseMs = 0.1; ; pauseMs = Math.min(2 * pauseMs, 5)) {
    const result = ask("flock", fd, LOCK_EX | LOCK_NB);
    if (result === 0) return;
    started ??= monotonicMs();
    if (result !== -Errno.EAGAIN || monotonicMs() - started > timeoutMs) throw new SystemError("flock", -result, path);
    sleepMs(pauseMs);
  }
}

/** Returns the path without its last part; `.` for a bare name, `/` for the root. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash > 0 ? path.slice(0, slash) : slash === 0 ? "/" : ".";
}

function writeOpened(path: string, flags: number, mode: number, data: Uint8Array | string): void {
  const fd = openFile(path, flags, mode);
  try {
    writeAll(fd, bytesOf(data), path);
  } finally {
    closeFile(fd);
  }
}

const bytesOf = (data: Uint8Array | string): Uint8Array => (typeof data === "string" ? encode(data) : data);
