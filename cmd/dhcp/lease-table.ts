/** The leases of this node: each has a client (pkg/dhcp/client.ts), whose messages and timers are handled here. */
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
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
  isOutOfSight,
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

interface Client extends LeaseRequest {
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
  readonly #clients = new Map<string, Client>();
  /** The leases by descriptor of their open sockets. */
  readonly #byFd = new Map<number, Client>();

  constructor(options: LeaseTableOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#clients.size;
  }

  /** Resumes the leases of an earlier daemon. */
  resumeAll(): void {
    const { journal, log } = this.#options;
    for (const [name, entry] of journal.read(log)) {
      const found = findIdentity(entry.place);
      if (found !== undefined && sameIdentity(found, entry.identity)) this.#resume(name, entry);
      else if (found === undefined && isOutOfSight(entry.place)) {
        log(`${entry.clientId}: its namespace ${entry.place.netns} cannot be entered from here, but may exist`);
        this.#resume(name, entry);
      } else {
        log(`${entry.clientId}: its interface is gone: dropped the lease of ${entry.lease.address}`);
        journal.remove(name);
      }
    }
  }

  #resume(name: string, entry: LeaseFile): void {
    const settings = this.#settingsFor(entry, entry.identity, entry.broadcast);
    const state = resume(entry.lease, bootMs(), settings);
    const nothingYet = { port: undefined, ended: undefined, waiters: new Set<Waiter>() };
    this.#clients.set(entry.clientId, { ...entry, name, settings, state, ...nothingYet });
    this.#options.log(`${entry.clientId}: resumed the lease of ${entry.lease.address}`);
  }

  /** @returns a function to call when the waiter is gone. @throws NoInterface */
  allocate(wish: LeaseRequest, waiter: Waiter): () => void {
    const client = this.#findUsable(wish) ?? this.#search(wish);
    const { lease, phase } = client.state;
    if (lease !== undefined && phase !== "probing") {
      waiter.granted(lease);
      return () => {};
    }
    client.waiters.add(waiter);
    return () => this.#leave(client, waiter);
  }

  /** Returns the existing lease if it is usable; drops one of another interface with the same client ID. */
  #findUsable(wish: LeaseRequest): Client | undefined {
    const client = this.#clients.get(wish.clientId);
    if (client === undefined) return undefined;
    const found = findIdentity(wish.place);
    if (client.ended === undefined && found !== undefined && sameIdentity(found, client.identity)) return client;
    this.#drop(client, client.ended ?? "its interface was replaced");
    return undefined;
  }

  #search(wish: LeaseRequest): Client {
    const { flags, log } = this.#options;
    log(`${wish.clientId}: searching for a lease`);
    const port = openClientSocket(wish.place, "search");
    const settings = this.#settingsFor(wish, port.identity, flags.broadcast || port.kind === "ipvlan");
    const [state, actions] = start(bootMs(), settings);
    const client: Client = {
      ...wish,
      name: newName(),
      identity: port.identity,
      settings,
      state,
      port: undefined,
      ended: undefined,
      waiters: new Set(),
    };
    this.#clients.set(wish.clientId, client);
    this.#attach(client, port);
    this.#perform(client, [state, actions]);
    return client;
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
  #leave(client: Client, waiter: Waiter): void {
    if (!client.waiters.delete(waiter) || client.waiters.size > 0) return;
    this.#drop(client, "no caller waits for it");
  }

  /** Releases the lease, or ends the search. */
  release(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client !== undefined) this.#drop(client, "released");
  }

  /** Returns the lease. @throws CniError there is none, or it is for another interface */
  check({ clientId, place }: Pick<LeaseRequest, "clientId" | "place">): Lease {
    const client = this.#clients.get(clientId);
    const lease = client?.state.lease;
    if (client === undefined || lease === undefined) throw noLease(`there is no lease for ${clientId}`);
    if (client.ended !== undefined)
      throw noLease(`the lease of ${lease.address} for ${clientId} has ended: ${client.ended}`);
    const found = findIdentity(place);
    if (found !== undefined && sameIdentity(found, client.identity)) return lease;
    throw noLease(
      `the lease of ${lease.address} for ${clientId} is for another interface than the present ${place.ifName}`,
    );
  }

  /** Releases the leases of a network's attachments that are not alive. */
  collect(network: string, isAlive: (attachment: Omit<AttachmentId, "network">) => boolean): void {
    for (const client of [...this.#clients.values()]) {
      const { containerId, place } = client;
      if (client.network === network && !isAlive({ containerId, ifName: place.ifName }))
        this.#drop(client, "the attachment no longer exists");
    }
  }

  /** When `tick` must be called next. */
  get wakeAtMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { state } of this.#clients.values()) if (state.wakeAtMs < earliest) earliest = state.wakeAtMs;
    return earliest;
  }

  tick(): void {
    const nowMs = bootMs();
    for (const client of [...this.#clients.values()])
      if (client.state.wakeAtMs <= nowMs) this.#happen(client, { kind: "time" });
  }

  /** Handles input; reports whether the descriptor belongs to a lease. */
  read(fd: number): boolean {
    const client = this.#byFd.get(fd);
    if (client === undefined) return false;
    for (const event of this.#received(client, fd)) this.#happen(client, event);
    return true;
  }

  /** Receives events. A socket reports once that its link is down or gone; then the client continues by its timers. */
  #received(client: Client, fd: number): Event[] {
    try {
      return client.port?.receive(fd) ?? [];
    } catch (error) {
      this.#options.log(`${client.clientId}: ${textOf(error)}`);
      return [];
    }
  }

  #happen(client: Client, event: Event): void {
    if (this.#clients.get(client.clientId) !== client) return; // dropped by an earlier event
    try {
      if (event.kind === "time" && client.port === undefined && client.ended === undefined) this.#open(client);
      this.#perform(client, step(client.state, event, bootMs(), client.settings));
    } catch (error) {
      if (error instanceof NoInterface && !this.#mayReturn(client)) this.#drop(client, error.msg);
      else this.#retry(client, error);
    }
  }

  /** Reports whether the lease is valid and its namespace may exist, though it cannot be entered. */
  #mayReturn({ state, place }: Client): boolean {
    return state.lease !== undefined && bootMs() < state.lease.expireAtMs && isOutOfSight(place);
  }

  #retry(client: Client, error: unknown): void {
    this.#options.log(`${client.clientId}: ${textOf(error)}`);
    client.state = { ...client.state, wakeAtMs: bootMs() + RETRY_MS };
  }

  /** Opens sockets for a renewal; the client keeps the MAC that the server knows. @throws NoInterface also if it is another interface */
  #open(client: Client): void {
    const port = openClientSocket(client.place, "renewal");
    this.#attach(client, port);
    if (!sameIdentity(port.identity, client.identity)) throw new NoInterface(client.place, "link");
  }

  #attach(client: Client, port: ClientSocket): void {
    client.port = port;
    for (const fd of port.fds) {
      this.#byFd.set(fd, client);
      this.#options.poller.watch(fd);
    }
  }

  #detach(client: Client): void {
    for (const fd of client.port?.fds ?? []) {
      this.#byFd.delete(fd);
      this.#options.poller.forget(fd);
      this.#options.close(fd);
    }
    client.port = undefined;
  }

  #perform(client: Client, [state, actions]: Step): void {
    client.state = state;
    for (const action of actions) this.#act(client, action);
  }

  #act(client: Client, action: Action): void {
    const { log } = this.#options;
    switch (action.kind) {
      case "send":
        this.#attempt(client, () => client.port?.send(action.message, action.to));
        break;
      case "probe":
        this.#attempt(client, () => client.port?.probe(action.address));
        break;
      case "log":
        log(`${client.clientId}: ${action.text}`);
        break;
      case "bound":
        this.#bound(client, action.lease);
        break;
      case "over":
        this.#over(client, action.why);
        break;
    }
  }

  /** Logs a failure to send, as when the link is down or its queue is full: the client sends again later. */
  #attempt({ clientId }: Client, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.log(`${clientId}: ${textOf(error)}`);
    }
  }

  #bound(client: Client, lease: Lease): void {
    const { journal, log } = this.#options;
    const { clientId, containerId, network, place, identity, options } = client;
    const { broadcast } = client.settings;
    this.#attempt(client, () =>
      journal.write(client.name, { clientId, containerId, network, place, identity, options, broadcast, lease }),
    );
    if (lease.mtu !== undefined) this.#attempt(client, () => lowerMtu(place, lease.mtu ?? 0));
    log(`${clientId}: has ${lease.address} for ${Math.round((lease.expireAtMs - bootMs()) / 1000)} s`);
    for (const waiter of takeAll(client.waiters)) waiter.granted(lease);
    this.#detach(client);
  }

  /** Keeps a lease that has ended in memory, so that CHECK can report it; drops a search that has found nothing. */
  #over(client: Client, why: string): void {
    const { journal, log } = this.#options;
    const { clientId, place, state } = client;
    log(`${clientId}: ${why}`);
    client.ended = why;
    this.#detach(client);
    this.#attempt(client, () => journal.remove(client.name));
    if (state.lease === undefined) this.#clients.delete(clientId);
    else this.#attempt(client, () => setLinkDown(place));
    for (const waiter of takeAll(client.waiters)) waiter.refused(notFound(why));
  }

  #drop(client: Client, why: string): void {
    const { close, journal, log } = this.#options;
    log(`${client.clientId}: ${why}`);
    this.#detach(client);
    this.#clients.delete(client.clientId);
    this.#attempt(client, () => journal.remove(client.name));
    const [, releases] = step(client.state, { kind: "stop" }, bootMs(), client.settings);
    for (const action of releases)
      if (action.kind === "send") this.#attempt(client, () => sendRelease(client.place, action, close));
    for (const waiter of takeAll(client.waiters)) waiter.refused(notFound(why));
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
    remedy: "check that a DHCP server answers on the network of the container's interface, and has free addresses",
  });

const noLease = (msg: string): CniError =>
  new CniError({
    code: ErrorCode.internal,
    msg,
    remedy: "its address may be given to another host at any time: restart the container",
  });
