/** Network namespaces. Entering one affects the calling thread only: in Node, keep `work` synchronous. */
import { Errno, isErrno, SystemError } from "./errno.ts";
import { closeFile, fileSystemType, findStat, Open, openFile } from "./file.ts";
import { ask, call } from "./syscall.ts";

const CLONE_NEWNET = 0x40000000;
/** linux/magic.h */
const NSFS_MAGIC = 0x6e736673;
const PROC_SUPER_MAGIC = 0x9fa0;

/** Path of this process's namespace. */
export const OWN_NAMESPACE = "/proc/thread-self/ns/net";

/** A network namespace that is held open. */
export interface Namespace {
  path: string;
  fd: number;
}

/** The path is not a network namespace: nothing is there, or something else. */
export class NotANamespace extends Error {
  readonly path: string;
  readonly reason: "missing" | "other file";

  constructor(path: string, reason: "missing" | "other file") {
    super(reason === "missing" ? `"${path}" does not exist` : `"${path}" is not a network namespace`);
    this.path = path;
    this.reason = reason;
  }
}

/** Opens a namespace. @throws NotANamespace */
export function openNamespace(path: string): Namespace {
  try {
    if (!isNamespaceFileSystem(fileSystemType(path))) throw new NotANamespace(path, "other file");
    return { path, fd: openFile(path, Open.readOnly) };
  } catch (error) {
    throw isErrno(error, "ENOENT", "ENOTDIR") ? new NotANamespace(path, "missing") : error;
  }
}

/** Whether a file of this file system is a namespace. @param type from fileSystemType; before Linux 3.19 namespaces were files of /proc. */
export const isNamespaceFileSystem = (type: number): boolean => type === NSFS_MAGIC || type === PROC_SUPER_MAGIC;

/**
 * Opens a namespace; returns undefined when the path is empty, gone, or no longer a namespace: a mount point that was left behind
 * must not stop the other steps of a DEL.
 */
export function findNamespace(path: string | undefined): Namespace | undefined {
  try {
    return path === undefined ? undefined : openNamespace(path);
  } catch (error) {
    if (error instanceof NotANamespace) return undefined;
    throw error;
  }
}

/** Opens the namespace of this process. */
export const ownNamespace = (): Namespace => ({ path: OWN_NAMESPACE, fd: openFile(OWN_NAMESPACE, Open.readOnly) });

/** Makes a new, empty namespace that exists as long as it is held open. */
export function makeNamespace(): Namespace {
  const home = ownNamespace();
  try {
    unshareNetwork();
    const made = ownNamespace();
    call("setns", OWN_NAMESPACE, home.fd, CLONE_NEWNET);
    return made;
  } finally {
    closeNamespace(home);
  }
}

export function closeNamespace(namespace: Namespace): void {
  closeFile(namespace.fd);
}

/** Runs `work` inside the namespace. Sockets and files of /proc/sys opened there still belong to it afterwards. */
export function within<T>(namespace: Namespace, work: () => T): T {
  const home = ownNamespace();
  try {
    enter(namespace.fd, namespace.path);
    try {
      return work();
    } finally {
      returnTo(home);
    }
  } finally {
    closeNamespace(home);
  }
}

/** Tries twice, since setns may fail (ENOMEM): all that follows, above all the rollback of a failed ADD, must run in `home`. */
function returnTo(home: Namespace): void {
  if (ask("setns", home.fd, CLONE_NEWNET) < 0) call("setns", OWN_NAMESPACE, home.fd, CLONE_NEWNET);
}

function enter(fd: number, path: string): void {
  try {
    call("setns", path, fd, CLONE_NEWNET);
  } catch (error) {
    const otherKind = error instanceof SystemError && error.errno === Errno.EINVAL; // an open file of /proc, or a pid namespace
    throw otherKind ? new NotANamespace(path, "other file") : error;
  }
}

/** Whether `path` is the namespace of this process. False when nothing is there. */
export const isOwnNamespace = (path: string): boolean => isSameNamespace(OWN_NAMESPACE, path);

/** Reports whether two paths lead to the same namespace, as /var/run/netns/one, /run/netns/one and /proc/PID/ns/net can. */
export function isSameNamespace(one: string, other: string): boolean {
  const [a, b] = [findStat(one), findStat(other)];
  return a !== undefined && b !== undefined && a.inode === b.inode && a.device === b.device;
}

/** Moves to a new, empty network namespace that exists as long as this process. */
export function unshareNetwork(): void {
  call("unshare", "a new network namespace", CLONE_NEWNET);
}
