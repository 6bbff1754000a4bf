/** Tells of changes in directories (inotify), to a loop that waits for descriptors. */
import { isErrno } from "./errno.ts";
import { ask, call } from "./syscall.ts";

const IN_CLOEXEC = 0o2000000;
const IN_NONBLOCK = 0o4000;
/** linux/inotify.h: a file was closed after it was written, moved to there or from there, or deleted. */
const WANTED = 0x8 | 0x40 | 0x80 | 0x200;

export interface DirectoryWatch {
  /** Readable when something has changed. */
  fd: number;
  /** Watches a directory; once is enough. @returns false: there is none, or no more can be watched */
  add(path: string): boolean;
  /** Reads what has come, so that `fd` is readable again only with the next change. */
  drain(): void;
}

export function watchDirectories(): DirectoryWatch {
  const fd = call("inotify_init1", undefined, IN_CLOEXEC | IN_NONBLOCK);
  const buffer = new Uint8Array(4096);
  return {
    fd,
    add(path) {
      try {
        call("inotify_add_watch", path, fd, path, WANTED);
        return true;
      } catch (error) {
        if (isErrno(error, "ENOENT", "ENOTDIR", "EACCES", "ENOSPC")) return false;
        throw error;
      }
    },
    drain() {
      while (ask("read", fd, buffer, buffer.length) > 0);
    },
  };
}
