/**
 * Finds out whether the network namespace behind a path still exists, as far as the path shows it, without entering it.
 *
 * "unknown" is a result: a namespace that cannot be examined is neither alive nor dead, and the caller decides what to do.
 */
import { isErrno, SystemError } from "./errno.ts";
import { fileSystemType, findText, forEachName, readLink } from "./file.ts";
import { isNamespaceFileSystem, isOwnNamespace } from "./namespace.ts";

export type NamespaceState = "alive" | "dead" | "unknown";

export function namespaceState(path: string): NamespaceState {
  if (!path.startsWith("/")) return "unknown"; // the specification's sandbox may be the ID of a virtual machine
  try {
    const type = findFileSystemType(path);
    if (type === undefined) return "dead";
    if (!isNamespaceFileSystem(type)) return stateOfBareFile(path);
    // Plugins refuse their own namespace, so this path, such as /proc/PID/ns/net, meant another one when it was recorded.
    return isOwnNamespace(path) ? "unknown" : "alive";
  } catch (error) {
    if (error instanceof SystemError) return "unknown";
    throw error;
  }
}

function findFileSystemType(path: string): number | undefined {
  try {
    return fileSystemType(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/**
 * Returns the state of a path that is a plain file, with no namespace mounted on it. `umount` leaves such a file, and so does a
 * reboot where /run is on a disk; but a living namespace also looks like this if its runtime has its own mount namespace. The mount
 * tables of all processes tell which it is, if all processes can be seen.
 */
function stateOfBareFile(path: string): NamespaceState {
  const name = baseName(path);
  const isMounted = ({ mountinfo }: MountTable) =>
    mountedNamespaces(mountinfo).some(({ path }) => baseName(path) === name);
  if (mountTables().some(isMounted)) return "alive";
  return seesAllProcesses() ? "dead" : "unknown";
}

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

export interface MountedNamespace {
  /** The mount point. The directory may have another name than in CNI_NETNS, as /run and /var/run. */
  path: string;
  inode: string;
}

/** Returns the network namespaces that are mounted somewhere. Pure. */
export function mountedNamespaces(mountinfo: string): MountedNamespace[] {
  const lines = mountinfo.split("\n").map((line) => line.split(" "));
  return lines.flatMap(([, , , root = "", mountPoint = ""]) => {
    const inode = /^net:\[(\d+)\]$/.exec(root)?.[1];
    return inode === undefined ? [] : { path: unescaped(mountPoint), inode };
  });
}

/** Decodes mountinfo's escapes: blank, tab, newline and backslash are written as \040 and so on (proc(5)). */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** The mounts that a process sees. */
export interface MountTable {
  process: string;
  mountinfo: string;
}

/** Reads one mountinfo for each mount namespace that has a process. @throws SystemError one cannot be read */
export function mountTables(): MountTable[] {
  const tables = new Map<string, MountTable>();
  for (const process of processes()) {
    const namespace = mountNamespaceOf(process);
    if (!tables.has(namespace)) tables.set(namespace, { process, mountinfo: mountinfoOf(process) ?? "" });
  }
  return [...tables.values()];
}

/** Returns the IDs of the processes that can be seen. */
export function processes(): string[] {
  const found: string[] = [];
  forEachName("/proc", (name) => /^\d+$/.test(name) && found.push(name));
  return found;
}

/** Identifies the mount namespace, so that a table is read once; a process without permission counts as one of its own. */
function mountNamespaceOf(process: string): string {
  try {
    return readLink(`/proc/${process}/ns/mnt`);
  } catch (error) {
    if (error instanceof SystemError) return process;
    throw error;
  }
}

/** Returns undefined when the process has ended; EINVAL: it is a zombie. */
function mountinfoOf(process: string): string | undefined {
  try {
    return findText(`/proc/${process}/mountinfo`);
  } catch (error) {
    if (isErrno(error, "ESRCH", "EINVAL")) return undefined;
    throw error;
  }
}

/** Whether this is the initial PID namespace. include/linux/proc_ns.h: PROC_PID_INIT_INO */
export const seesAllProcesses = (): boolean => readLink("/proc/self/ns/pid") === `pid:[${0xef_ff_ff_fc}]`;
