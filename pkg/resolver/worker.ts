/** Answers queries: the process that works, while another one keeps its sockets (supervisor.ts). */
import { encodeAnswer, encodeRefusal, LARGEST_MESSAGE, readQuery, type Transport } from "../dns/message.ts";
import { addressKey } from "../dns/name.ts";
import { answerFrom, type NetworkNames, namesOfNetworks, type View, viewOf } from "../dns/records.ts";
import { formatAddress } from "../ip/address.ts";
import { attachmentDirectories } from "../network/unrecorded-attachment.ts";
import { bootMs } from "../sys/clock.ts";
import { watchDirectories } from "../sys/directory-watch.ts";
import { SystemError } from "../sys/errno.ts";
import { directoryOf } from "../sys/file.ts";
import {
  type Datagram,
  decodeEndpoint,
  type Endpoint,
  receiveFrom,
  remoteEndpoint,
  sendTo,
} from "../sys/inet-socket.ts";
import type { NamespaceIdentity } from "../sys/namespace-identity.ts";
import { randomBytes } from "../sys/random.ts";
import { Cleaner } from "./cleaner.ts";
import { type SyncAnswer, serveControl } from "./control.ts";
import { type ControlSocket, isLost, reopen } from "./control-socket.ts";
import { removeStaleRecord } from "./dnsname-record.ts";
import { type EventLoop, openEventLoop } from "./event-loop.ts";
import { Forwarder } from "./forwarder.ts";
import { type Listener, Listeners, type ListenProblem } from "./listeners.ts";
import {
  type AttachmentPaths,
  isGone,
  type ListenAddress,
  listenKey,
  readServed,
  type ServedAttachment,
  stampOf,
} from "./served.ts";
import { TcpClients } from "./tcp-clients.ts";

/** Docker's, in seconds, and that of dnsmasq, which podman's dnsname runs: nothing is kept, since an address may be another container's at once. */
const TTL = 600;
const DNSNAME_TTL = 0;
/** How often records and namespaces are looked at, in case nobody tells of a change. */
const LOOK_MS = 2000;
/** How long a resolver that has nothing to serve waits for something. */
const IDLE_MS = 5000;
/** From a change of the cache until it is looked at: of many at once, most are read together, and connect asks for itself. */
const SETTLE_MS = 20;
/** Datagrams of one socket that are answered before it is the others' turn. */
const DATAGRAMS_AT_ONCE = 32;

export interface WorkerOptions {
  attachments: AttachmentPaths;
  /** Path of the host's resolv.conf. */
  resolvConf: string;
  /** The listening socket for those who change the records: our own, or that which systemd passed. */
  control: ControlSocket | number;
  /** Descriptors of signals, and what those that have come mean. */
  signals: number;
  readSignals: () => End | undefined;
  /** Whether to have what is left of containers that are gone removed. */
  cleansUp: boolean;
  /** Whether to end when nothing is attached. */
  endsIdle: boolean;
  /** Sockets that an earlier worker has left. */
  left: Map<string, Partial<Listener>>;
  log: (text: string) => void;
}

/** Why a worker ends: it was told to, its supervisor is gone, or there is nothing to serve. */
export type End = "stopped" | "orphaned" | "idle";

/** Serves until there is a reason to end. */
export function work(options: WorkerOptions): End {
  return new Worker(options).run();
}

class Worker {
  readonly #options: WorkerOptions;
  readonly #loop: EventLoop = openEventLoop();
  readonly #forwarder: Forwarder;
  readonly #tcpClients = new TcpClients(this.#loop);
  readonly #listeners: Listeners;
  readonly #buffer = new Uint8Array(LARGEST_MESSAGE);
  #networks: Map<string, NetworkNames> = new Map();
  readonly #cleaner = new Cleaner();
  /** Tells of what runtimes write into their cache. */
  readonly #watch = watchDirectories();
  /** Of all containers that are attached, also those without names. */
  #namespaces: NamespaceIdentity[] = [];
  /** Files of the cache that a runtime may be writing. */
  #unfinished: readonly string[] = [];
  /** Namespaces of records whose container is gone, as a text. */
  #gone = "";
  /** What runtimes attached to networks with links, as a text, and that for which links were opened: `connect` opens those of what it attaches itself. */
  #linkable = "";
  #linked = "";
  /** By key of the listen address. */
  #views = new Map<string, View>();
  /** Who may ask at a listen address, by key of the address; undefined: everybody. */
  #clients = new Map<string, ReadonlySet<string> | undefined>();
  #stamp = "";
  #lookAtMs = 0;
  #neededAtMs = bootMs();
  #problems: readonly string[] = [];
  /** Whether an address could not be listened on, which is tried again. */
  #hasUnserved = false;
  /** Whether it was told that nobody can reach the resolver by its socket. */
  #isCutOff = false;
  #end: End = "stopped";

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#forwarder = new Forwarder({ loop: this.#loop, resolvConf: options.resolvConf });
    this.#listeners = new Listeners(
      {
        opened: (at, listener) => this.#serve(at, listener),
        gone: (key, listener) => this.#leave(key, listener),
      },
      options.left,
    );
  }

  run(): End {
    const { signals, readSignals } = this.#options;
    this.#loop.watch(signals, () => {
      const end = readSignals();
      if (end !== undefined) this.#stop(end);
    });
    this.#loop.watch(this.#watch.fd, () => {
      this.#watch.drain();
      this.#lookAtMs = Math.min(this.#lookAtMs, bootMs() + SETTLE_MS);
    });
    this.#serveControl();
    this.#loop.run((nowMs) => Math.min(this.#look(nowMs), this.#forwarder.tick(nowMs), this.#tcpClients.tick(nowMs)));
    return this.#end;
  }

  #serveControl(): void {
    const { control } = this.#options;
    serveControl(typeof control === "number" ? control : control.listener, this.#loop, {
      sync: () => this.#sync(),
      stop: () => this.#stop("stopped"),
    });
  }

  /** Makes the socket's file again where somebody has removed it; ends where another resolver has begun meanwhile. */
  #keepControl(): void {
    const { control, log } = this.#options;
    if (typeof control === "number" || !isLost(control)) return;
    try {
      if (reopen(control)) {
        this.#serveControl();
        this.#isCutOff = false;
        log(`${control.path} was removed: it is made again`);
      } else {
        log(`another resolver listens on ${control.path}: this one ends`);
        this.#stop("stopped");
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (!this.#isCutOff) log(`${control.path} was removed, and cannot be made again: ${error.message}`);
      this.#isCutOff = true; // it is tried at each look
    }
  }

  #stop(end: End): void {
    this.#end = end;
    this.#loop.stop();
  }

  /** Looks whether records have changed or a namespace is gone. @returns when to look again */
  #look(nowMs: number): number {
    if (nowMs < this.#lookAtMs) return this.#lookAtMs;
    this.#lookAtMs = nowMs + LOOK_MS;
    const { attachments, cleansUp, control, endsIdle, log } = this.#options;
    this.#keepControl();
    if (typeof control !== "number") this.#watch.add(directoryOf(control.path)); // at each look, as below: it may be another directory now
    for (const directory of attachmentDirectories(attachments.cache)) this.#watch.add(directory);
    const hasChanged = this.#stamp !== stampOf(attachments, this.#unfinished);
    if (hasChanged || this.#hasUnserved || this.#namespaces.some(isGone)) this.#sync();
    const hasLeft = cleansUp && this.#gone !== "";
    if (hasLeft) this.#cleaner.run(this.#gone, nowMs, log);
    else if (cleansUp && this.#linkable !== this.#linked && this.#cleaner.run(this.#linkable, nowMs, log))
      this.#linked = this.#linkable;
    if (hasLeft || this.#namespaces.length > 0) this.#neededAtMs = nowMs;
    if (endsIdle && nowMs - this.#neededAtMs > IDLE_MS) this.#stop("idle");
    return this.#lookAtMs;
  }

  /** Reads the records, and serves what they say. */
  #sync(): SyncAnswer {
    const paths = this.#options.attachments;
    const stamp = stampOf(paths, []); // before reading, so that what changes meanwhile is read again
    const { attachments, connected, problems, unfinished, stale, linkable } = readServed(paths);
    for (const record of stale) removeStaleRecord(record, paths.dnsname);
    this.#unfinished = unfinished;
    this.#stamp = unfinished.length === 0 ? stamp : stampOf(paths, unfinished);
    const gone = new Set(connected.filter(isGone));
    const served = attachments.map(({ namespace }) => namespace);
    this.#namespaces = [...new Set([...connected, ...served])].filter((namespace) => !gone.has(namespace));
    this.#gone = [...gone].map(({ path, inode }) => `${path} ${inode}`).join("\n");
    const living = attachments.filter(({ namespace }) => !gone.has(namespace));
    this.#linkable = linkable.sort().join("\n");
    this.#networks = namesOfNetworks(living);
    const addresses = listenAddressesOf(living);
    this.#views = new Map([...addresses].map(([key, { attachments }]) => [key, viewOf(attachments, this.#networks)]));
    this.#clients = new Map([...addresses].map(([key, { clients }]) => [key, clients]));
    const failed = this.#listeners.setAddresses([...addresses.values()].map(({ at }) => at));
    this.#hasUnserved = failed.length > 0;
    const all = [...problems, ...failed.map(describe)];
    for (const problem of all) if (!this.#problems.includes(problem)) this.#options.log(problem);
    this.#problems = all;
    const unserved = failed.map(({ at, problem, remedy }) => ({ key: listenKey(at), problem, remedy }));
    return { namespaces: this.#listeners.count, problems: all, unserved };
  }

  #serve(at: ListenAddress, { udp, tcp }: Listener): void {
    const key = listenKey(at);
    this.#loop.watch(udp, () => this.#answerDatagrams(key, udp));
    this.#loop.watch(tcp, () =>
      this.#tcpClients.accept(tcp, key, {
        mayAsk: (fd) => this.#mayAsk(key, () => remoteEndpoint(fd)),
        serve: (message, answer) => this.#answer(key, message, "tcp", answer),
      }),
    );
  }

  #leave(key: string, { udp, tcp }: Listener): void {
    this.#tcpClients.endAll(key);
    this.#loop.close(udp);
    this.#loop.close(tcp);
  }

  #answerDatagrams(key: string, fd: number): void {
    for (let i = 0; i < DATAGRAMS_AT_ONCE; i++) {
      const datagram = this.#receive(fd);
      if (datagram === undefined) return;
      const { data, from } = datagram;
      if (this.#mayAsk(key, () => decodeEndpoint(from)))
        this.#answer(key, data, "udp", (answer) => sendTo(fd, answer, from));
    }
  }

  #receive(fd: number): Datagram | undefined {
    try {
      return receiveFrom(fd, this.#buffer);
    } catch (error) {
      if (error instanceof SystemError) return undefined; // an earlier answer could not be delivered
      throw error;
    }
  }

  /** Whether the client is one of those for whom the address is served: on the host, others reach it as well. */
  #mayAsk(key: string, client: () => Endpoint | undefined): boolean {
    const clients = this.#clients.get(key);
    if (clients === undefined) return true;
    const address = client()?.address;
    return address !== undefined && clients.has(addressKey(address));
  }

  #answer(key: string, message: Uint8Array, transport: Transport, send: (answer: Uint8Array) => void): void {
    const query = readQuery(message);
    const view = this.#views.get(key);
    if (query === undefined || view === undefined) return;
    if ("rcode" in query) {
      send(encodeRefusal(query, query.rcode));
      return;
    }
    const answer = answerFrom(view, query.question, this.#networks, shuffled);
    if (answer === "forward") this.#forwarder.ask({ key, servers: view.servers }, query, message, transport, send);
    else
      send(
        encodeAnswer(
          query,
          { ...answer, ttl: view.networks.some(({ ownsSuffix }) => ownsSuffix) ? DNSNAME_TTL : TTL },
          transport,
        ),
      );
  }
}

function describe({ at: { namespace, address, clients }, problem, remedy }: ListenProblem): string {
  const where = clients === undefined ? `in ${namespace.path}` : `at ${formatAddress(address)}`;
  return `no names are answered ${where}: ${problem}${remedy === "" ? "" : `: ${remedy}`}`;
}

/** A listen address, the attachments whose names are answered there, and who may ask, by key of the address; undefined: everybody. */
interface AskedAddress {
  at: ListenAddress;
  clients: Set<string> | undefined;
  attachments: ServedAttachment[];
}

/** Groups attachments by the address where their container asks. */
function listenAddressesOf(attachments: readonly ServedAttachment[]): Map<string, AskedAddress> {
  const addresses = new Map<string, AskedAddress>();
  for (const attachment of attachments)
    for (const at of attachment.listenAt) {
      const clients = at.clients?.map(addressKey);
      const known = addresses.get(listenKey(at));
      if (known === undefined)
        addresses.set(listenKey(at), { at, clients: clients && new Set(clients), attachments: [attachment] });
      else {
        known.attachments.push(attachment);
        for (const client of clients ?? []) known.clients?.add(client);
      }
    }
  return addresses;
}

/** Brings a list into random order (Fisher and Yates). */
function shuffled<T>(list: T[]): T[] {
  if (list.length < 2) return list;
  for (let last = list.length - 1; last > 0; last--) {
    const [high = 0, low = 0] = randomBytes(2);
    const other = ((high << 8) | low) % (last + 1);
    [list[last], list[other]] = [list[other] as T, list[last] as T];
  }
  return list;
}
