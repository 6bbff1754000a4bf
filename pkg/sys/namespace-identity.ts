/**
 * Identifies a network namespace beyond its path, and finds out whether that very namespace still exists.
 *
 * A path can lead to another namespace later: `ip netns` makes one of the same name, the ID of a process is given out again. The kernel
 * also gives the inode of a namespace that is gone to a new one; so where the kernel has cookies (5.14 or later), the cookie decides.
 */
import { bootId } from "./boot-id.ts";
import { isErrno, SystemError } from "./errno.ts";
import { closeFile, findStat, inodeAt } from "./file.ts";
import { closeNamespace, findNamespace, NotANamespace, within } from "./namespace.ts";
import { mountedNamespaces, mountTables, type NamespaceState, processes, seesAllProcesses } from "./namespace-state.ts";
import { namespaceCookie, openSocket, SOCK_DGRAM } from "./socket.ts";

/** Texts, since it is stored as JSON. */
export interface NamespaceIdentity {
  /** The path by which it was found. */
  path: string;
  inode: string;
  /** Unique until the next boot; "0" if the kernel has none. */
  cookie: string;
  /** The inode of the namespace's /proc/net/dev, by which each process shows its namespace, also one whose `ns/net` we may not read. */
  procInode: string;
  /** The kernel's ID of the boot, after which no namespace of an earlier one exists. */
  bootId: string;
}

/** Reports whether a value from a file is an identity. */
export const isNamespaceIdentity = (value: unknown): value is NamespaceIdentity =>
  typeof value === "object" &&
  value !== null &&
  ["path", "inode", "cookie", "procInode", "bootId"].every(
    (key) => typeof value[key as keyof typeof value] === "string",
  );

/** Identifies the namespace at a path. @throws NotANamespace */
export function identifyNamespace(path: string): NamespaceIdentity {
  const found = findIdentity(path);
  if (found === undefined) throw new NotANamespace(path, findStat(path) === undefined ? "missing" : "other file");
  return { path, ...found, bootId: bootId() };
}

/**
 * Returns "dead" only if the namespace is known to be gone: it was of an earlier boot, or no process and no mount that can be seen has it, and
 * either those are all of this host, or nothing is at its path any more.
 */
export function identifiedState(identity: NamespaceIdentity): NamespaceState {
  try {
    const boot = bootId();
    if (boot !== "" && identity.bootId !== "" && boot !== identity.bootId) return "dead";
    const state = stateAt(identity, identity.path);
    if (state !== undefined) return state;
    for (const path of pathsOf(identity)) {
      const state = stateAt(identity, path);
      if (state !== undefined) return state;
    }
    return seesAllProcesses() || findStat(identity.path) === undefined ? "dead" : "unknown";
  } catch (error) {
    if (error instanceof SystemError) return "unknown";
    throw error;
  }
}

/**
 * Returns the namespace's state as what the path leads to now tells it. An inode is of one namespace at a time, so when another one has it,
 * ours is gone, whatever other paths there are: some cannot be looked at, such as those below /proc/1/root in a container.
 *
 * @returns undefined: it leads to nothing, or to a namespace with another inode
 */
function stateAt(
  { inode, cookie }: Pick<NamespaceIdentity, "inode" | "cookie">,
  path: string,
): "alive" | "dead" | undefined {
  if (inodeAt(path) !== inode) return undefined; // most often the case where it is gone, and cheaper than to open it
  const found = inNamespaceAt(path, (opened) => ({ inode: opened, cookie: ownCookie() }));
  if (found?.inode !== inode) return undefined;
  return found.cookie === cookie || found.cookie === "0" || cookie === "0" ? "alive" : "dead";
}

const findIdentity = (path: string): Omit<NamespaceIdentity, "path" | "bootId"> | undefined =>
  inNamespaceAt(path, (inode) => ({ inode, cookie: ownCookie(), procInode: procInodeOf("thread-self") ?? "0" }));

/** Runs `work` in the namespace at a path, whose inode it is given; undefined when nothing, or something else, is there. */
function inNamespaceAt<T>(path: string, work: (inode: string) => T): T | undefined {
  const namespace = findNamespace(path);
  if (namespace === undefined) return undefined;
  try {
    const inode = inodeAt(`/proc/thread-self/fd/${namespace.fd}`); // not of the path, where another one may be by now
    return inode === undefined ? undefined : within(namespace, () => work(inode));
  } finally {
    closeNamespace(namespace);
  }
}

function ownCookie(): string {
  const socket = openSocket(AF_UNIX, SOCK_DGRAM, 0);
  try {
    return String(namespaceCookie(socket));
  } finally {
    closeFile(socket);
  }
}
const AF_UNIX = 1;

/** Returns paths to what may be the namespace: of processes that are in one, and of mounts in all mount namespaces. @throws SystemError */
function pathsOf({ inode, procInode }: NamespaceIdentity): string[] {
  const ofProcesses = processes().filter((process) => procInodeOf(process) === procInode);
  const mounted = mountTables().flatMap(({ process, mountinfo }) =>
    mountedNamespaces(mountinfo)
      .filter((namespace) => namespace.inode === inode)
      .map(({ path }) => `/proc/${process}/root${path}`),
  );
  return [...ofProcesses.map((process) => `/proc/${process}/ns/net`), ...mounted];
}

/** Returns undefined when the process has ended, or is a zombie. */
function procInodeOf(process: string): string | undefined {
  try {
    return inodeAt(`/proc/${process}/net/dev`);
  } catch (error) {
    if (isErrno(error, "ESRCH", "EINVAL")) return undefined;
    throw error;
  }
}
