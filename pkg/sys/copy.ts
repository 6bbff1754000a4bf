/** Copies of files with all that `ls -l` shows of them: content, mode, owner, time; symbolic links stay symbolic links. */
import { Errno, SystemError } from "./errno.ts";
import { closeFile, findStat, Open, openFile, readLink, setModified, syncFile } from "./file.ts";
import { call } from "./syscall.ts";

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const O_PATH = 0o10000000;
/** The most that one sendfile copies, sendfile(2). */
const LARGEST_SEND = 0x7ffff000;

/** Copies a file or a symbolic link to a path where nothing is. @throws SystemError EINVAL: it is neither */
export function copyEntry(from: string, to: string): void {
  const stat = findStat(from, "link");
  if (stat === undefined) throw new SystemError("statx", Errno.ENOENT, from);
  if (stat.type === "link") {
    call("symlinkat", to, readLink(from), AT_FDCWD, to);
    call("fchownat", to, AT_FDCWD, to, stat.owner, stat.group, AT_SYMLINK_NOFOLLOW);
    setModified(to, stat.modifiedNs, "link");
    return;
  }
  if (stat.type !== "file") throw new SystemError("open", Errno.EINVAL, from); // reading a FIFO may never end
  copyContent(from, to, stat.mode);
  call("fchownat", to, AT_FDCWD, to, stat.owner, stat.group, 0);
  call("fchmodat", to, AT_FDCWD, to, stat.mode); // behind the owner: a change of it clears setuid
  setModified(to, stat.modifiedNs);
}

/** Copies the bytes into a new file of this mode, without taking them into memory, and waits until they are on the disk. */
export function copyContent(from: string, to: string, mode: number): void {
  const source = openFile(from, Open.readOnly);
  try {
    const target = openFile(to, Open.writeOnly | Open.create | Open.exclusive, mode);
    try {
      while (call("sendfile", to, target, source, 0, LARGEST_SEND) > 0);
      call("fchmodat", to, AT_FDCWD, to, mode); // whatever the umask is
    } finally {
      closeFile(target);
    }
    syncFile(to);
  } finally {
    closeFile(source);
  }
}

/** Returns the path without symbolic links. @throws SystemError ENOENT: it does not exist */
export function realPath(path: string): string {
  const fd = openFile(path, O_PATH);
  try {
    return readLink(`/proc/self/fd/${fd}`);
  } finally {
    closeFile(fd);
  }
}
