/**
 * Whether the network namespace behind a path still exists, as far as the path tells, without entering it.
 *
 * "unknown" is an answer: what cannot be examined is neither there nor gone, and what is done about it is the caller's decision.
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
    // Plugins refuse the namespace that they run in, so this path, as /proc/PID/ns/net, was another's when it was written down.
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
 * A file on which no namespace is mounted is what `umount` leaves, or a reboot where /run is on a disk; but also what one sees of a
 * living namespace whose runtime has a mount namespace of its own. The mounts of all processes tell which it is, where all
 * processes can be seen.
 */
function stateOfBareFile(path: string): NamespaceState {
  const name = baseName(path);
  if (mountTables().some((table) => mountedNamespaces(table).some((mounted) => baseName(mounted) === name)))
    return "alive";
  return seesAllProcesses() ? "dead" : "unknown";
}

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** The mount points of namespaces. The directory may have another name than in CNI_NETNS, as /run for /var/run. Pure. */
export function mountedNamespaces(mountinfo: string): string[] {
  const lines = mountinfo.split("\n").map((line) => line.split(" "));
  return lines.flatMap(([, , , root = "", mountPoint = ""]) => (root.startsWith("net:[") ? unescaped(mountPoint) : []));
}

/** Blank, tab, newline and backslash are written as \040 and so on (proc(5)). */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** One mountinfo for each mount namespace that a process is in. @throws SystemError one may not be read */
function mountTables(): string[] {
  const tables = new Map<string, string>();
  forEachName("/proc", (process) => {
    if (!/^\d+$/.test(process)) return;
    const namespace = mountNamespaceOf(process);
    if (!tables.has(namespace)) tables.set(namespace, mountinfoOf(process) ?? "");
  });
  return [...tables.values()];
}

/** Saves reading the same table again; a process that may not be asked counts as one of its own. */
function mountNamespaceOf(process: string): string {
  try {
    return readLink(`/proc/${process}/ns/mnt`);
  } catch (error) {
    if (error instanceof SystemError) return process;
    throw error;
  }
}

/** undefined when the process has ended; EINVAL: it is a zombie. */
function mountinfoOf(process: string): string | undefined {
  try {
    return findText(`/proc/${process}/mountinfo`);
  } catch (error) {
    if (isErrno(error, "ESRCH", "EINVAL")) return undefined;
    throw error;
  }
}

/** include/linux/proc_ns.h: PROC_PID_INIT_INO, the namespace of the machine's first process. */
const seesAllProcesses = (): boolean => readLink("/proc/self/ns/pid") === `pid:[${0xef_ff_ff_fc}]`;
