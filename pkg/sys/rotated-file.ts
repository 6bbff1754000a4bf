/**
 * A file of lines that any number of processes append to, of bounded size: when it is full it becomes PATH.1, in the place of the one before.
 *
 * A line is one write to a file opened with O_APPEND, so the kernel keeps lines of several writers apart and no lock is needed for that.
 * A writer that opened the file before it was renamed writes to PATH.1, where the line is read as well.
 */
import { Errno, isErrno, SystemError } from "./errno.ts";
import { closeFile, findStat, Open, openFile, readAll, rename, writeAll } from "./file.ts";
import { ask, call } from "./syscall.ts";
import { decode } from "./text.ts";

const formerOf = (path: string): string => `${path}.1`;

/**
 * Appends a line. A symbolic link at the path is not followed, a FIFO or a device is refused.
 *
 * @param options.largest Bytes from which the file is full. Both files together take at most twice that and a line of each writer.
 */
export function appendRotated(path: string, line: Uint8Array, options: { mode: number; largest: number }): void {
  const fd = openFile(path, APPENDING, options.mode);
  try {
    const opened = findStat(`/proc/self/fd/${fd}`);
    if (opened?.type !== "file") throw new SystemError("openat", Errno.EINVAL, path);
    writeAll(fd, line, path);
    if (call("lseek", path, fd, 0, SEEK_CUR) >= options.largest) rotate(fd, path, opened.inode);
  } finally {
    closeFile(fd); // releases the lock of rotate
  }
}
const APPENDING = Open.writeOnly | Open.create | Open.append | Open.noFollow | Open.nonBlocking;
const SEEK_CUR = 1;
const SEEK_END = 2;

/** Renames the file, unless another writer is at it or was faster: a second rename would put a new file in the place of the full one. */
function rotate(fd: number, path: string, inode: bigint): void {
  if (ask("flock", fd, LOCK_EX | LOCK_NB) < 0) return;
  if (findStat(path, "link")?.inode === inode) rename(path, formerOf(path));
}
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Reads both files, the older first; undefined when there is none. @throws SystemError one cannot be read */
export function readRotated(path: string): string | undefined {
  const [former, current] = [formerOf(path), path].map((one) => readEnd(one));
  return former === undefined && current === undefined ? undefined : `${former ?? ""}${current ?? ""}`;
}

/** Reads the end of a file; undefined when there is no such file. Does not wait for the writer of a FIFO. @param most bytes, all when absent */
export function readEnd(path: string, most = 0): string | undefined {
  try {
    const fd = openFile(path, Open.readOnly | Open.noFollow | Open.nonBlocking);
    try {
      if (most > 0 && call("lseek", path, fd, 0, SEEK_END) > most) call("lseek", path, fd, -most, SEEK_END);
      else if (most > 0) call("lseek", path, fd, 0, 0);
      return decode(readAll(fd, path));
    } finally {
      closeFile(fd);
    }
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
