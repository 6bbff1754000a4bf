/**
 * The resolver's unix socket as a file: one resolver at a time listens on it. Where the file is removed, as by who cleans up /run, the resolver makes it again; else the next who looks for a
 * resolver would start a second one, which finds every port taken.
 *
 * Rejected: an abstract socket, which nobody can remove. Its name is the network namespace's, so that two with different /run, as a container with the host's network, would meet there, and
 * everybody may connect to it.
 */
import {
  closeFile,
  directoryOf,
  findStat,
  makeDirectories,
  Open,
  openFile,
  removeFile,
  withLock,
} from "../sys/file.ts";
import { call } from "../sys/syscall.ts";
import { isListenedTo, listenUnix } from "../sys/unix-socket.ts";

export interface ControlSocket {
  path: string;
  /** Descriptors of the listening socket, and of the file (O_PATH), which tells whether the path still leads to it. Their numbers stay the same. */
  listener: number;
  file: number;
}

const LOCKED_MS = 5000;
const O_CLOEXEC = 0o2000000;

/** Calls `work` with the socket, opened; with undefined when another process listens on it. Nobody else opens it meanwhile. */
export function withControlSocket<T>(path: string, work: (socket: ControlSocket | undefined) => T): T {
  makeDirectories(directoryOf(path), 0o755);
  return withLock(`${path}.lock`, { mode: 0o600, timeoutMs: LOCKED_MS }, () => {
    if (isListenedTo(path)) return work(undefined);
    removeFile(path); // left by one that was killed
    const listener = listenUnix(path);
    return work({ path, listener, file: openFile(path, Open.path) });
  });
}

/** Reports whether the path leads to nothing any more, or to another one's socket. */
export function isLost({ path, file }: ControlSocket): boolean {
  const [there, own] = [findStat(path), findStat(`/proc/self/fd/${file}`)];
  return there?.inode !== own?.inode || there?.device !== own?.device;
}

/** Makes the file again. @returns false: another resolver listens there by now */
export function reopen({ path, listener, file }: ControlSocket): boolean {
  return withControlSocket(path, (socket) => {
    if (socket === undefined) return false;
    for (const [from, to] of [
      [socket.listener, listener],
      [socket.file, file],
    ] as const) {
      call("dup3", undefined, from, to, O_CLOEXEC);
      closeFile(from);
    }
    return true;
  });
}

/** Removes the file, unless it is another one's. */
export function removeControlSocket(socket: ControlSocket): void {
  if (!isLost(socket)) removeFile(socket.path);
}
