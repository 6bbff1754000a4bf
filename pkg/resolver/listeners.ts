/**
 * The sockets that the resolver listens on: UDP and TCP at each listen address.
 *
 * A socket belongs to the namespace in which it was opened, so the resolver need not live there. It also keeps that namespace alive, and so
 * has to be closed once the namespace's own path is gone.
 */

import { formatAddress } from "../ip/address.ts";
import { withRtnetlink } from "../link/in-namespace.ts";
import { setUpLoopback } from "../link/loopback.ts";
import { SystemError } from "../sys/errno.ts";
import { closeFile, findStat, listDirectory } from "../sys/file.ts";
import { bindUdp, type Endpoint, listenTcp, localEndpoint, openNamespaceOf, roleOf } from "../sys/inet-socket.ts";
import { closeNamespace, NotANamespace, openNamespace, within } from "../sys/namespace.ts";
import { type ListenAddress, listenKey } from "./served.ts";

const DNS_PORT = 53;
const BACKLOG = 128;

/** The two sockets of a listen address. */
export interface Listener {
  udp: number;
  tcp: number;
}

/** Why a listen address cannot be served, and what to do. */
interface Refusal {
  problem: string;
  /** "" for nothing. */
  remedy: string;
}

/** A listen address that cannot be served. */
export interface ListenProblem extends Refusal {
  at: ListenAddress;
}

export interface ListenersOptions {
  opened: (at: ListenAddress, listener: Listener) => void;
  /** Has to close the sockets. */
  gone: (key: string, listener: Listener) => void;
}

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #open = new Map<string, Listener>();
  /** Sockets that an earlier worker opened, by key. */
  readonly #left: Map<string, Partial<Listener>>;

  constructor(options: ListenersOptions, left: Map<string, Partial<Listener>>) {
    this.#options = options;
    this.#left = left;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Opens and closes sockets until they are those of the addresses. @returns the addresses that are not served */
  setAddresses(addresses: readonly ListenAddress[]): ListenProblem[] {
    const problems: ListenProblem[] = [];
    const wanted = new Map(addresses.map((at) => [listenKey(at), at]));
    for (const [key, listener] of this.#open) {
      if (wanted.has(key)) continue;
      this.#open.delete(key);
      this.#options.gone(key, listener);
    }
    for (const [key, at] of wanted) {
      if (this.#open.has(key)) continue;
      const listener = this.#listen(key, at);
      if ("problem" in listener) problems.push({ at, ...listener });
      else {
        this.#open.set(key, listener);
        this.#options.opened(at, listener);
      }
    }
    for (const sockets of this.#left.values()) for (const fd of Object.values(sockets)) closeFile(fd);
    this.#left.clear();
    return problems;
  }

  #listen(key: string, at: ListenAddress): Listener | Refusal {
    const left = this.#left.get(key) ?? {};
    this.#left.delete(key);
    try {
      return this.#openIn(at, left);
    } catch (error) {
      for (const fd of Object.values(left)) closeFile(fd);
      return refusalOf(error, at);
    }
  }

  #openIn({ namespace: { path, inode }, address, clients }: ListenAddress, left: Partial<Listener>): Listener {
    const namespace = openNamespace(path);
    try {
      if (inodeOf(namespace.fd) !== inode) throw new NotANamespace(path, "missing");
      if (clients === undefined) withRtnetlink(namespace, setUpLoopback);
      return within(namespace, () => openBoth({ address, port: DNS_PORT }, left));
    } finally {
      closeNamespace(namespace);
    }
  }
}

function openBoth(endpoint: Endpoint, left: Partial<Listener>): Listener {
  const udp = left.udp ?? bindUdp(endpoint);
  try {
    return { udp, tcp: left.tcp ?? listenTcp(endpoint, BACKLOG) };
  } catch (error) {
    if (left.udp === undefined) closeFile(udp);
    throw error;
  }
}

function refusalOf(error: unknown, { namespace: { path }, address, clients }: ListenAddress): Refusal {
  const isOnHost = clients !== undefined;
  if (error instanceof NotANamespace && isOnHost)
    return {
      problem: "the resolver runs in another network namespace than the network's interface on the host",
      remedy: "end its two processes, twill-resolver; the next ADD starts one here",
    };
  if (error instanceof NotANamespace) return { problem: "the namespace is gone", remedy: "" };
  if (!(error instanceof SystemError)) throw error;
  if (error.code !== "EADDRINUSE")
    return {
      problem: `it cannot be served (${error.message})`,
      remedy: "it is tried again every two seconds; if that does not help, report it with /run/twill/resolver.log",
    };
  const [where, then] = isOnHost ? ["on the host", "start the container again"] : [`in ${path}`, "connect again"];
  return {
    problem: `another program ${where} has port 53 of ${formatAddress(address)}`,
    remedy: `have it listen on other addresses, and ${then}`,
  };
}

/**
 * Sorts the descriptors that an earlier worker has left in the table that is shared with it: sockets that listen are kept, by the key of their listen address, all else is closed, unless it is
 * in `kept`.
 */
export function sortLeftSockets(kept: readonly number[]): Map<string, Partial<Listener>> {
  const left = new Map<string, Partial<Listener>>();
  for (const name of listDirectory("/proc/self/fd")) {
    const fd = Number(name);
    if (kept.includes(fd)) continue;
    const found = listenerAt(fd);
    if (found === undefined) closeFile(fd);
    else left.set(found.key, { ...left.get(found.key), [found.part]: fd });
  }
  return left;
}

function listenerAt(fd: number): { key: string; part: keyof Listener } | undefined {
  const local = localEndpoint(fd);
  if (local?.port !== DNS_PORT) return undefined;
  const role = roleOf(fd);
  if (role === "connection") return undefined;
  const inode = inodeOfNamespace(fd);
  if (inode === undefined) return undefined;
  const key = listenKey({ namespace: { inode }, address: local.address });
  return { key, part: role === "datagrams" ? "udp" : "tcp" };
}

function inodeOfNamespace(socket: number): string | undefined {
  try {
    const fd = openNamespaceOf(socket);
    const inode = inodeOf(fd);
    closeFile(fd);
    return inode;
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** Returns the inode of an open namespace. */
const inodeOf = (namespace: number): string => String(findStat(`/proc/self/fd/${namespace}`)?.inode);
