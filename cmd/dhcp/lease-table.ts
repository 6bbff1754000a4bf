/** The leases of this node: each has a client (pkg/dhcp/client.ts), whose messages are sent here and whose time is kept here. */
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

/** What somebody wants a lease for. */
export interface LeaseRequest {
  clientId: string;
  containerId: string;
  network: string;
  place: InterfaceRef;
  options: Options;
}

/** Who waits for a lease. */
export interface Waiter {
  granted(lease: Lease): void;
  refused(error: unknown): void;
}

interface Held extends LeaseRequest {
  /** In the journal. */
  name: string;
  identity: InterfaceIdentity;
  settings: Settings;
  state: State;
  /** While something is being asked. */
  port: ClientSocket | undefined;
  /** Why there is no lease any more. */
  ended: string | undefined;
  waiters: Set<Waiter>;
}

/** After a failure that has nothing to do with the lease, as when there are too many open files. */
const RETRY_MS = 5000;

export interface LeaseTableOptions {
  flags: Pick<Flags, "broadcast" | "timeoutMs" | "longestPauseMs" | "giveUpMs">;
  poller: Poller;
  journal: LeaseFiles;
  /** Takes a packet socket. */
  close: (fd: number) => void;
  log: (text: string) => void;
}

export class LeaseTable {
  readonly #options: LeaseTableOptions;
  readonly #held = new Map<string, Held>();
  /** Of the sockets that are open now. */
  readonly #byFd = new Map<number, Held>();

  constructor(options: LeaseTableOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#held.size;
  }

  /** Goes on with what an earlier daemon had. */
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

  /** @returns what to call when nobody waits any more. @throws NoInterface */
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

  /** The one there is; another interface under the same ID has nothing of it. */
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

  /** Who hangs up does not want it any more; when nobody is left, the search ends. */
  #leave(held: Held, waiter: Waiter): void {
    if (!held.waiters.delete(waiter) || held.waiters.size > 0) return;
    this.#drop(held, "nobody waits for it any more");
  }

  /** Gives the lease back, or ends the search. */
  release(clientId: string): void {
    const held = this.#held.get(clientId);
    if (held !== undefined) this.#drop(held, "released");
  }

  /** The lease that there is. @throws CniError there is none, or not for this interface */
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

  /** Gives back what a network's attachments have that are not alive. */
  collect(network: string, isAlive: (attachment: { containerId: string; ifName: string }) => boolean): void {
    for (const held of [...this.#held.values()]) {
      const { containerId, place } = held;
      if (held.network === network && !isAlive({ containerId, ifName: place.ifName }))
        this.#drop(held, "not alive any more");
    }
  }

  /** When `tick` has something to do. */
  get wakeAtMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { state } of this.#held.values()) if (state.wakeAtMs < earliest) earliest = state.wakeAtMs;
    return earliest;
  }

  tick(): void {
    const nowMs = bootMs();
    for (const held of [...this.#held.values()]) if (held.state.wakeAtMs <= nowMs) this.#happen(held, { kind: "time" });
  }

  /** Whether the descriptor was one of a lease's. */
  read(fd: number): boolean {
    const held = this.#byFd.get(fd);
    if (held === undefined) return false;
    for (const event of this.#received(held, fd)) this.#happen(held, event);
    return true;
  }

  /** A link that goes down or away is told of on the socket once; the client goes on by the clock. */
  #received(held: Held, fd: number): Event[] {
    try {
      return held.port?.receive(fd) ?? [];
    } catch (error) {
      this.#options.log(`${held.clientId}: ${textOf(error)}`);
      return [];
    }
  }

  #happen(held: Held, event: Event): void {
    if (this.#held.get(held.clientId) !== held) return; // dropped by what came before
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

  /** For a renewal; the client's MAC stays the one that the server knows. @throws NoInterface also when there is another one now */
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

  /** What cannot be sent, since the link is down or full, is sent again later. */
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

  /** A lease that has ended is remembered, for CHECK to tell of; a search that has found nothing is not. */
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
