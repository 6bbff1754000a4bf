/** The leases of this node: each has a client (pkg/dhcp/client.ts), whose messages and timers are handled here. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import {
  type Action,
  type Event,
  resume,
  type Settings,
  type State,
  type Step,
  start,
  step,
} from "../../pkg/dhcp/client.ts";
import type { Lease } from "../../pkg/dhcp/lease.ts";
import type { Options } from "../../pkg/dhcp/message.ts";
import { bootMs } from "../../pkg/sys/clock.ts";
import type { Poller } from "../../pkg/sys/poller.ts";
import { randomBytes } from "../../pkg/sys/random.ts";
import {
  type ClientSocket,
  findIdentity,
  type InterfaceIdentity,
  type InterfaceRef,
  lowerMtu,
  NoInterface,
  openClientSocket,
  sameIdentity,
  sendRelease,
  setLinkDown,
} from "./client-socket.ts";
import type { Flags } from "./flags.ts";
import { type LeaseFile, type LeaseFiles, newName } from "./lease-files.ts";

/** The request of a plugin call for a lease. */
export interface LeaseRequest {
  clientId: string;
  containerId: string;
  network: string;
  place: InterfaceRef;
  options: Options;
}

/** A plugin call that waits for a lease. */
export interface Waiter {
  granted(lease: Lease): void;
  refused(error: unknown): void;
}

interface Held extends LeaseRequest {
  /** The name of its lease file. */
  name: string;
  identity: InterfaceIdentity;
  settings: Settings;
  state: State;
  /** Open during an exchange with servers. */
  port: ClientSocket | undefined;
  /** Why the lease has ended; undefined: it has not. */
  ended: string | undefined;
  waiters: Set<Waiter>;
}

/** The pause after a failure that does not concern the lease, such as too many open files. */
const RETRY_MS = 5000;

export interface LeaseTableOptions {
  flags: Pick<Flags, "broadcast" | "timeoutMs" | "longestPauseMs" | "giveUpMs">;
  poller: Poller;
  journal: LeaseFiles;
  /** Closes a packet socket. */
  close: (fd: number) => void;
  log: (text: string) => void;
}

export class LeaseTable {
  readonly #options: LeaseTableOptions;
  readonly #held = new Map<string, Held>();
  /** The leases by descriptor of their open sockets. */
  readonly #byFd = new Map<number, Held>();

  constructor(options: LeaseTableOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#held.size;
  }

  /** Resumes the leases of an earlier daemon. */
  resumeAll(): void {
    const { journal, log } = this.#options;
    for (const [name, entry] of journal.read(log)) {
      const found = findIdentity(entry.place);
      if (found !== undefined && sameIdentity(found, entry.identity)) this.#resume(name, entry);
      else {
        log(`${entry.clientId}: its interface is gone: lease of ${entry.lease.address} forgotten`);
        journal.remove(name);
      }
    }
  }

  #resume(name: string, entry: LeaseFile): void {
    const settings = this.#settingsFor(entry, entry.identity, entry.broadcast);
    const state = resume(entry.lease, bootMs(), settings);
    const nothingYet = { port: undefined, ended: undefined, waiters: new Set<Waiter>() };
    this.#held.set(entry.clientId, { ...entry, name, settings, state, ...nothingYet });
    this.#options.log(`${entry.clientId}: goes on with the lease of ${entry.lease.address}`);
  }

  /** @returns a function to call when the waiter is gone. @throws NoInterface */
  allocate(wish: LeaseRequest, waiter: Waiter): () => void {
    const held = this.#findUsable(wish) ?? this.#search(wish);
    const { lease, phase } = held.state;
    if (lease !== undefined && phase !== "probing") {
      waiter.granted(lease);
      return () => {};
    }
    held.waiters.add(waiter);
    return () => this.#leave(held, waiter);
  }

  /** Returns the existing lease if it is usable; drops one of another interface with the same client ID. */
  #findUsable(wish: LeaseRequest): Held | undefined {
    const held = this.#held.get(wish.clientId);
    if (held === undefined) return undefined;
    const found = findIdentity(wish.place);
    if (held.ended === undefined && found !== undefined && sameIdentity(found, held.identity)) return held;
    this.#drop(held, held.ended ?? "its interface is another one now");
    return undefined;
  }

  #search(wish: LeaseRequest): Held {
    const { flags, log } = this.#options;
    log(`${wish.clientId}: looks for a lease`);
    const port = openClientSocket(wish.place, "search");
    const settings = this.#settingsFor(wish, port.identity, flags.broadcast || port.kind === "ipvlan");
    const [state, actions] = start(bootMs(), settings);
    const held: Held = {
      ...wish,
      name: newName(),
      identity: port.identity,
      settings,
      state,
      port: undefined,
      ended: undefined,
      waiters: new Set(),
    };
    this.#held.set(wish.clientId, held);
    this.#attach(held, port);
    this.#perform(held, [state, actions]);
    return held;
  }

  #settingsFor({ options }: Pick<LeaseRequest, "options">, { mac }: InterfaceIdentity, broadcast: boolean): Settings {
    const { timeoutMs, longestPauseMs, giveUpMs } = this.#options.flags;
    return {
      mac: Uint8Array.from(mac.split(":"), (digits) => Number.parseInt(digits, 16)),
      options,
      broadcast,
      requestMs: timeoutMs,
      longestPauseMs,
      giveUpMs,
      random,
    };
  }

  /** Removes a waiter that hung up; without waiters the search ends. */
  #leave(held: Held, waiter: Waiter): void {
    if (!held.waiters.delete(waiter) || held.waiters.size > 0) return;
    this.#drop(held, "nobody waits for it any more");
  }

  /** Releases the lease, or ends the search. */
  release(clientId: string): void {
    const held = this.#held.get(clientId);
    if (held !== undefined) this.#drop(held, "released");
  }

  /** Returns the lease. @throws CniError there is none, or it is for another interface */
  check({ clientId, place }: Pick<LeaseRequest, "clientId" | "place">): Lease {
    const held = this.#held.get(clientId);
    const lease = held?.state.lease;
    if (held === undefined || lease === undefined) throw noLease(`there is no lease for ${clientId}`);
    if (held.ended !== undefined)
      throw noLease(`the lease of ${lease.address} for ${clientId} has ended: ${held.ended}`);
    const found = findIdentity(place);
    if (found !== undefined && sameIdentity(found, held.identity)) return lease;
    throw noLease(
      `the lease of ${lease.address} for ${clientId} is for another interface than the ${place.ifName} there is now`,
    );
  }

  /** Releases the leases of a network's attachments that are not alive. */
  collect(network: string, isAlive: (attachment: { containerId: string; ifName: string }) => boolean): void {
    for (const held of [...this.#held.values()]) {
      const { containerId, place } = held;
      if (held.network === network && !isAlive({ containerId, ifName: place.ifName }))
        this.#drop(held, "not alive any more");
    }
  }

  /** When `tick` must be called next. */
  get wakeAtMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { state } of this.#held.values()) if (state.wakeAtMs < earliest) earliest = state.wakeAtMs;
    return earliest;
  }

  tick(): void {
    const nowMs = bootMs();
    for (const held of [...this.#held.values()]) if (held.state.wakeAtMs <= nowMs) this.#happen(held, { kind: "time" });
  }

  /** Handles input; reports whether the descriptor belongs to a lease. */
  read(fd: number): boolean {
    const held = this.#byFd.get(fd);
    if (held === undefined) return false;
    for (const event of this.#received(held, fd)) this.#happen(held, event);
    return true;
  }

  /** Receives events. A socket reports once that its link is down or gone; then the client continues by its timers. */
  #received(held: Held, fd: number): Event[] {
    try {
      return held.port?.receive(fd) ?? [];
    } catch (error) {
      this.#options.log(`${held.clientId}: ${textOf(error)}`);
      return [];
    }
  }

  #happen(held: Held, event: Event): void {
    if (this.#held.get(held.clientId) !== held) return; // dropped by an earlier event
    try {
      if (event.kind === "time" && held.port === undefined && held.ended === undefined) this.#open(held);
      this.#perform(held, step(held.state, event, bootMs(), held.settings));
    } catch (error) {
      if (error instanceof NoInterface) this.#drop(held, error.msg);
      else this.#retry(held, error);
    }
  }

  #retry(held: Held, error: unknown): void {
    this.#options.log(`${held.clientId}: ${textOf(error)}`);
    held.state = { ...held.state, wakeAtMs: bootMs() + RETRY_MS };
  }

  /** Opens sockets for a renewal; the client keeps the MAC that the server knows. @throws NoInterface also if it is another interface */
  #open(held: Held): void {
    const port = openClientSocket(held.place, "renewal");
    this.#attach(held, port);
    if (!sameIdentity(port.identity, held.identity)) throw new NoInterface(held.place, "link");
  }

  #attach(held: Held, port: ClientSocket): void {
    held.port = port;
    for (const fd of port.fds) {
      this.#byFd.set(fd, held);
      this.#options.poller.watch(fd);
    }
  }

  #detach(held: Held): void {
    for (const fd of held.port?.fds ?? []) {
      this.#byFd.delete(fd);
      this.#options.poller.forget(fd);
      this.#options.close(fd);
    }
    held.port = undefined;
  }

  #perform(held: Held, [state, actions]: Step): void {
    held.state = state;
    for (const action of actions) this.#act(held, action);
  }

  #act(held: Held, action: Action): void {
    const { log } = this.#options;
    switch (action.kind) {
      case "send":
        this.#attempt(held, () => held.port?.send(action.message, action.to));
        break;
      case "probe":
        this.#attempt(held, () => held.port?.probe(action.address));
        break;
      case "log":
        log(`${held.clientId}: ${action.text}`);
        break;
      case "bound":
        this.#bound(held, action.lease);
        break;
      case "over":
        this.#over(held, action.why);
        break;
    }
  }

  /** Logs a failure to send, as when the link is down or its queue is full: the client sends again later. */
  #attempt({ clientId }: Held, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.log(`${clientId}: ${textOf(error)}`);
    }
  }

  #bound(held: Held, lease: Lease): void {
    const { journal, log } = this.#options;
    const { clientId, containerId, network, place, identity, options } = held;
    const { broadcast } = held.settings;
    this.#attempt(held, () =>
      journal.write(held.name, { clientId, containerId, network, place, identity, options, broadcast, lease }),
    );
    if (lease.mtu !== undefined) this.#attempt(held, () => lowerMtu(place, lease.mtu ?? 0));
    log(`${clientId}: has ${lease.address} for ${Math.round((lease.expireAtMs - bootMs()) / 1000)} s`);
    for (const waiter of takeAll(held.waiters)) waiter.granted(lease);
    this.#detach(held);
  }

  /** Keeps a lease that has ended in memory, so that CHECK can report it; drops a search that has found nothing. */
  #over(held: Held, why: string): void {
    const { journal, log } = this.#options;
    const { clientId, place, state } = held;
    log(`${clientId}: ${why}`);
    held.ended = why;
    this.#detach(held);
    this.#attempt(held, () => journal.remove(held.name));
    if (state.lease === undefined) this.#held.delete(clientId);
    else this.#attempt(held, () => setLinkDown(place));
    for (const waiter of takeAll(held.waiters)) waiter.refused(notFound(why));
  }

  #drop(held: Held, why: string): void {
    const { close, journal, log } = this.#options;
    log(`${held.clientId}: ${why}`);
    this.#detach(held);
    this.#held.delete(held.clientId);
    this.#attempt(held, () => journal.remove(held.name));
    const [, releases] = step(held.state, { kind: "stop" }, bootMs(), held.settings);
    for (const action of releases)
      if (action.kind === "send") this.#attempt(held, () => sendRelease(held.place, action, close));
    for (const waiter of takeAll(held.waiters)) waiter.refused(notFound(why));
  }
}

function takeAll(waiters: Set<Waiter>): Waiter[] {
  const all = [...waiters];
  waiters.clear();
  return all;
}

const random = (): number => new DataView(randomBytes(4).buffer).getUint32(0) / 2 ** 32;

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const notFound = (msg: string): CniError =>
  new CniError({
    code: ErrorCode.tryAgainLater,
    msg,
    remedy: "see that a DHCP server answers on the network of the container's interface, and has free addresses",
  });

const noLease = (msg: string): CniError =>
  new CniError({
    code: ErrorCode.internal,
    msg,
    remedy: "its address may be given to another host any time: restart the container",
  });
