/**
 * A container's resolv.conf and hosts: rewritten in place, in the root of a process of the container, whose links lead nowhere else.
 *
 * Which process that is tells the namespace. One that has the host's root, as a shell in `ip netns exec`, is
 * none: its /etc is the host's.
 */
import { withHosts, withoutResolver, withResolver } from "../dns/resolv-conf.ts";
import { formatAddress } from "../ip/address.ts";
import { isErrno, SystemError } from "../sys/errno.ts";
import { closeFile, findStat, inodeAt } from "../sys/file.ts";
import type { NamespaceIdentity } from "../sys/namespace-identity.ts";
import { processes } from "../sys/namespace-state.ts";
import { openRoot, rewriteInRoot, UnsafeFile } from "../sys/rooted-file.ts";
import { RESOLVER_ADDRESS } from "./served.ts";

/** A line of hosts. */
export interface Host {
  /** Without prefix length. */
  address: string;
  name: string;
}

export interface ContainerFiles {
  /** The network that the lines of hosts belong to; they replace those that it had. */
  network: string;
  hosts: readonly Host[];
  /** Whether the resolver answers in the container; if not, resolv.conf gets its lines back. */
  isServed: boolean;
  /** The directory with the container's files, where that is known; else the root of a process in the namespace. */
  directory?: string | undefined;
}

/**
 * Rewrites the files of the container in a namespace.
 *
 * @returns sentences: what could not be changed and why; none where no process in there has a root of its own
 */
export function rewriteContainerFiles(
  namespace: NamespaceIdentity,
  { network, hosts, isServed, directory }: ContainerFiles,
): string[] {
  const root = directory === undefined ? findRoot(namespace) : openRoot(directory);
  if (root === undefined) return [];
  const resolver = formatAddress(RESOLVER_ADDRESS);
  try {
    return [
      ...rewrite(root, "etc/resolv.conf", (text) => (isServed ? withResolver(text, resolver) : withoutResolver(text))),
      ...rewrite(root, "etc/hosts", (text) => withHosts(text, network, hosts)),
    ];
  } finally {
    closeFile(root);
  }
}

function rewrite(root: number, path: string, change: (text: string) => string): string[] {
  try {
    rewriteInRoot(root, path, change);
    return [];
  } catch (error) {
    if (error instanceof UnsafeFile)
      return [`the container's /${path} is not changed: ${error.message}; make it a plain file`];
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "ENOENT") return []; // an image without it needs none
    const why = error.code === "EROFS" ? "its file system is read-only" : error.message;
    return [`the container's /${path} is not changed: ${why}`];
  }
}

/** Opens the root of a process in the namespace that has not the host's; undefined: there is none. */
function findRoot({ inode }: NamespaceIdentity): number | undefined {
  for (const process of processes()) {
    if (!isIn(process, inode)) continue;
    const root = openRootOf(process);
    if (root === undefined) continue;
    if (isIn(process, inode) && !isHostRoot(root)) return root; // still: its ID may be another process's by now
    closeFile(root);
  }
  return undefined;
}

function isIn(process: string, inode: string): boolean {
  try {
    return inodeAt(`/proc/${process}/ns/net`) === inode;
  } catch (error) {
    if (error instanceof SystemError) return false; // it has ended, or may not be looked at
    throw error;
  }
}

function openRootOf(process: string): number | undefined {
  try {
    return openRoot(`/proc/${process}/root`);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
}

function isHostRoot(root: number): boolean {
  const [one, other] = [findStat(`/proc/self/fd/${root}`), findStat("/")];
  return one?.inode === other?.inode && one?.device === other?.device;
}
