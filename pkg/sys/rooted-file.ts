/**
 * Files of another root directory, as a container's, whose owner is not to be trusted: no link in there leads out of it (openat2(2), Linux 5.6),
 * and nothing but a plain file is read or written.
 */
import { Errno, SystemError } from "./errno.ts";
import { closeFile, findStat, Open, openFile, readAll, writeAll } from "./file.ts";
import { ask, call } from "./syscall.ts";
import { decode, encode } from "./text.ts";

const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
/** linux/openat2.h */
const RESOLVE_NO_MAGICLINKS = 2;
const RESOLVE_IN_ROOT = 0x10;
/** No file that we rewrite is larger: the rest would be lost. */
const LARGEST = 1 << 20;

/** Opens a directory that is a root. @throws SystemError ENOENT: the process has ended */
export const openRoot = (path: string): number => openFile(path, O_PATH | Open.directory);

/** The path leads to something that must not be written. */
export class UnsafeFile extends Error {
  override name = "UnsafeFile";
}

/**
 * Replaces the text of an existing file in place, since it may be a mount of its own.
 *
 * @param path without a slash at its beginning
 * @param change makes the new text of the old one; the file is left alone when they are the same
 * @throws UnsafeFile; SystemError ENOENT: it does not exist, EROFS: it cannot be changed, ENOSYS: the kernel is older than 5.6
 */
export function rewriteInRoot(root: number, path: string, change: (text: string) => string): void {
  const fd = openIn(root, path);
  try {
    needPlainFile(fd, path);
    const old = readAll(fd, path, LARGEST);
    if (old.length > LARGEST) throw new UnsafeFile(`/${path} has more than ${LARGEST >> 20} MB`);
    const text = decode(old);
    const changed = change(text);
    if (changed === text) return;
    const bytes = encode(changed);
    call("lseek", path, fd, 0, 0);
    writeAll(fd, bytes, path);
    call("ftruncate", path, fd, bytes.length);
  } finally {
    closeFile(fd);
  }
}

/** struct open_how: flags u64, mode u64, resolve u64. */
function openIn(root: number, path: string): number {
  const how = new DataView(new ArrayBuffer(24));
  how.setBigUint64(0, BigInt(Open.readWrite | Open.nonBlocking | O_CLOEXEC), true);
  how.setBigUint64(16, BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), true);
  const fd = ask("openat2", root, path, new Uint8Array(how.buffer), 24);
  if (fd === -Errno.ELOOP) throw new UnsafeFile(`/${path} is a link to a link of /proc, or to itself`);
  if (fd === -Errno.ENXIO || fd === -Errno.EISDIR) throw new UnsafeFile(`/${path} is no plain file`);
  if (fd < 0) throw new SystemError("openat2", -fd, path);
  return fd;
}

/** Refuses devices, which a container may have made, and files with a second name, which may be the host's on a volume that both have. */
function needPlainFile(fd: number, path: string): void {
  const stat = findStat(`/proc/self/fd/${fd}`);
  if (stat?.type !== "file") throw new UnsafeFile(`/${path} is no plain file`);
  if (stat.links > 1) throw new UnsafeFile(`/${path} has ${stat.links} names (hard links)`);
}
