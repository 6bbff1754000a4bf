/**
 * A netlink socket: sends requests and matches answers by sequence number. The only part of this folder that uses sockets.
 *
 * Everything is synchronous: the kernel processes a request inside the system call that sends it, so its answers can be read
 * when that call returns.
 */
import { Errno, errnoName, isErrno, SystemError } from "../sys/errno.ts";
import { closeFile } from "../sys/file.ts";
import { lazy } from "../sys/lazy.ts";
import { type Namespace, within } from "../sys/namespace.ts";
import { waitReadable } from "../sys/poll.ts";
import { variable, writeStderr } from "../sys/process.ts";
import {
  AF_NETLINK,
  bindSocket,
  openSocket,
  receive,
  receiveArrived,
  SO_SNDBUFFORCE,
  SOCK_RAW,
  SOL_SOCKET,
  send,
  setSocketOption,
  trySocketOption,
} from "../sys/socket.ts";
import { explain } from "./explain.ts";
import { attributeAt, decode, encode } from "./message.ts";
import {
  type Answer,
  beginNlmsg,
  decodeAnswer,
  decodeNlmsgs,
  endNlmsg,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  type Nlmsg,
} from "./nlmsg.ts";
import { type AnyWire, struct, u16, u32, type Wire, Writer } from "./wire.ts";

/** linux/netlink.h */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** The buffer for dumps, larger than any datagram of one (32 kB, or the size of one link with all its virtual functions). */
const DUMP_BUFFER = 65536;
/**
 * The buffer for all answers but dumps, a few kB at most. All connections share it, since an answer is decoded before the next
 * one is received; a buffer for each socket would be new memory, which the kernel has to clear first.
 */
const answerBuffer = new Uint8Array(16384);
/** The buffer for dumps of all connections. It is made when it is used, since most calls do without, and then has to be cleared. */
const dumpBuffer = lazy(() => new Uint8Array(DUMP_BUFFER));
/** The size from which on refusals must not repeat the request, so that they fit into a buffer. Most connections send less. */
const LONG_REQUEST = 4096;
/** The size from which on the send buffer (208 kB by default) is enlarged: a batch of thousands of messages is one send. */
const LARGE_BATCH = 128 << 10;
/** Enough for what a plugin sends at once, but for larger transactions of nf_tables. */
const SCRATCH_BYTES = 4096;
/**
 * The number of requests that are sent together. If the kernel refuses them all, its answers have to fit into the socket's receive buffer
 * (208 kB, of which a refusal with an error message takes 1.3 kB), else some are lost.
 */
const CHUNK = 128;
/** The number of attempts for a dump that is interrupted by changes each time. */
const DUMP_ATTEMPTS = 20;

/** A request to the kernel: a message with its table. Functions such as `addLink` and `deleteRoute` return them. */
export interface Request {
  /** The kernel's name of the message, such as `RTM_NEWLINK`. */
  readonly name: string;
  readonly type: number;
  /** NLM_F_CREATE and so on; REQUEST, ACK and DUMP are added here. */
  readonly flags: number;
  readonly table: AnyWire;
  readonly value: unknown;
}

/** A request that the kernel answers with messages of a table. */
export interface Query<Out> extends Request {
  readonly answers: Wire<Out, never>;
}

interface Parts<Out, In> {
  name: string;
  type: number;
  flags?: number;
  table: Wire<Out, In>;
  value: In;
}

// the parts one by one: of twenty requests of an ADD, copying objects would take the interpreter as long as encoding the messages

export const request = <Out, In>({ name, type, flags = 0, table, value }: Parts<Out, In>): Request => ({
  name,
  type,
  flags,
  table,
  value,
});

export const query = <Out, In>({ name, type, flags = 0, table, value }: Parts<Out, In>): Query<Out> => ({
  name,
  type,
  flags,
  table,
  value,
  answers: table,
});

/** The kernel refused a request. */
export class NetlinkError extends Error {
  override name = "NetlinkError";
  /** The kernel's name of the request, such as `RTM_NEWADDR`. */
  readonly request: string;
  readonly errno: number;
  /** The kernel's error message (NLMSGERR_ATTR_MSG), if there is one. */
  readonly kernelMessage: string | undefined;
  /** The attribute that the error is about, such as `IFLA_LINKINFO > IFLA_INFO_DATA`. */
  readonly attribute: string | undefined;

  constructor(request: string, { errno, message, attribute }: { errno: number; message?: string; attribute?: string }) {
    const words = [message, attribute === undefined ? undefined : `at ${attribute}`].filter(
      (word) => word !== undefined,
    );
    super(`${request}: ${errnoName(errno)}${words.length > 0 ? ` (${words.join(", ")})` : ""}`);
    this.request = request;
    this.errno = errno;
    this.kernelMessage = message;
    this.attribute = attribute;
  }
}

/** The transport of datagrams: a netlink socket, or a test's simulation of the kernel. */
export interface Channel {
  readonly fd: number;
  send(datagram: Uint8Array, options: { isDump: boolean }): void;
  /** Waits for the next datagram, which is valid until the next call of any channel. */
  receive(kind: "answer" | "dump"): Uint8Array;
  /** Returns a datagram that has arrived already; undefined when there is none. */
  receiveArrived(): Uint8Array | undefined;
  close(): void;
}

interface Sent {
  /** The sequence number of the first request; those of the others follow. */
  first: number;
  /** Returns the bytes from the request's nlmsghdr to the end of the datagram. */
  message(index: number): Uint8Array;
}

/**
 * Where all connections write what they send: a request has been answered before the next one is written, and fresh memory would have to be
 * cleared by the kernel first.
 */
const scratch = new Writer(SCRATCH_BYTES);
const NO_SIBLINGS = {};

export class Connection {
  readonly #channel: Channel;
  readonly #trace: boolean;
  #sequence = 0;
  /** What was read, by a description of the read, where nothing is to be read twice: in a `Draft`, and in a series of changes. */
  memory: Map<string, unknown> | undefined = undefined;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#trace = variable("TWILL_TRACE") === "1";
  }

  /** The file descriptor, for ioctls about the namespace that the socket is in. */
  get fd(): number {
    return this.#channel.fd;
  }

  /** Sends one request. @throws NetlinkError the kernel refuses it */
  request(request: Request): void {
    this.requestAll([request]);
  }

  /**
   * Sends several requests at once, which the kernel performs in this order. It performs the later ones also when it refuses an earlier
   * one.
   *
   * @throws NetlinkError the first refusal
   */
  requestAll(requests: readonly Request[]): void {
    const refusal = this.attemptAll(requests).find((outcome) => outcome !== undefined);
    if (refusal !== undefined) throw refusal;
  }

  /** Like `requestAll`, but returns the refusal of each request, or undefined. Any number of requests: they are sent in chunks. */
  attemptAll(requests: readonly Request[]): (NetlinkError | undefined)[] {
    const outcomes: (NetlinkError | undefined)[] = new Array(requests.length).fill(undefined);
    for (let from = 0; from < requests.length; from += CHUNK) {
      this.#attempt(requests.slice(from, from + CHUNK), (index, refusal) => {
        outcomes[from + index] = refusal;
      });
    }
    return outcomes;
  }

  /**
   * Sends one chunk. Refusals are always answered; only the last request is acknowledged, since an ACK takes longer than most requests, and
   * not even that one when it is a query, which has its own answer.
   */
  #attempt(requests: readonly Request[], refused: (index: number, refusal: NetlinkError | undefined) => void): void {
    const last = requests.length - 1;
    const isQuery = "answers" in (requests[last] as Request);
    const sent = this.#send(requests, isQuery ? {} : { acknowledged: last });
    for (;;) {
      for (const answer of this.#receive()) {
        const index = answer.sequence - sent.first;
        const request = requests[index];
        if (request === undefined) continue; // the answer to an earlier request
        if (answer.type === NLMSG_ERROR) refused(index, refusalOf(request, decodeAnswer(answer), sent.message(index)));
        else if (!isQuery) continue; // an echo
        if (index === last) return; // the kernel answers in the order of the requests
      }
    }
  }

  /** Sends a query and returns the one message that answers it. @throws NetlinkError there is none, mostly ENODEV or ENOENT */
  get<Out>(query: Query<Out>): Out {
    return this.requestAllAndGet([], query);
  }

  /**
   * Sends several requests and a query at once. The kernel has performed or refused all of them, in this order, when the system call
   * returns, and a signal that ends the process takes effect only after that. It performs the later ones also when it refuses an earlier
   * one.
   *
   * @returns the one message that answers the query
   * @throws NetlinkError the first refusal
   */
  requestAllAndGet<Out>(requests: readonly Request[], query: Query<Out>): Out {
    const all = [...requests, query];
    const sent = this.#send(all);
    let refusal: NetlinkError | undefined;
    for (;;) {
      for (const answer of this.#receive()) {
        const index = answer.sequence - sent.first;
        const request = all[index];
        if (request === undefined) continue; // the answer to an earlier request
        if (answer.type === NLMSG_ERROR) refusal ??= refusalOf(request, decodeAnswer(answer), sent.message(index));
        if (request !== query) continue;
        if (refusal !== undefined) throw refusal;
        if (answer.type === NLMSG_ERROR) throw nothingCame(query);
        return decode(query.answers, answer.body);
      }
    }
  }

  /**
   * Sends a query and returns the one message that answers it; undefined when the object does not exist.
   *
   * @throws NetlinkError any other refusal
   */
  find<Out>(query: Query<Out>): Out | undefined {
    try {
      return this.get(query);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /**
   * Sends several queries at once and returns the message that answers each; undefined for objects that do not exist.
   *
   * @throws NetlinkError the first other refusal
   */
  findAll<Out>(queries: readonly Query<Out>[]): (Out | undefined)[] {
    const found: (Out | undefined)[] = queries.map(() => undefined);
    if (queries.length === 0) return found;
    const sent = this.#send(queries);
    for (let answered = 0; answered < queries.length; ) {
      for (const answer of this.#receive()) {
        const index = answer.sequence - sent.first;
        const query = queries[index];
        if (query === undefined) continue; // the answer to an earlier request
        answered++;
        if (answer.type !== NLMSG_ERROR) {
          found[index] = decode(query.answers, answer.body);
          continue;
        }
        const refusal = refusalOf(query, decodeAnswer(answer), sent.message(index)) ?? nothingCame(query);
        if (!isMissing(refusal)) throw refusal;
      }
    }
    return found;
  }

  /**
   * Returns all objects of a kind. Repeats the dump when the kernel reports that a change interrupted it, or that it dropped answers, so
   * that the result is consistent.
   *
   * @throws NetlinkError the kernel refuses; EAGAIN: every attempt was interrupted
   */
  dump<Out>(query: Query<Out>): Out[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const sent = this.#send([query], { flags: NLM_F_DUMP });
      const items = this.#collect(query, sent);
      if (items !== undefined) return items;
    }
    throw new NetlinkError(query.name, {
      errno: Errno.EAGAIN,
      message: `changed during each of ${DUMP_ATTEMPTS} dumps`,
    });
  }

  /** Receives the answers of a dump; returns undefined when it was interrupted. */
  #collect<Out>(query: Query<Out>, sent: Sent): Out[] | undefined {
    const items: Out[] = [];
    let interrupted = false;
    for (;;) {
      const answers = this.#receiveOfDump();
      if (answers === undefined) return undefined;
      for (const answer of answers) {
        if (answer.sequence !== this.#sequence) continue;
        if ((answer.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (answer.type === NLMSG_DONE || answer.type === NLMSG_ERROR) {
          const refusal = refusalOf(query, decodeAnswer(answer), sent.message(0));
          if (refusal?.errno === Errno.EINTR) return undefined;
          if (refusal !== undefined) throw refusal;
          return interrupted ? undefined : items;
        }
        items.push(decode(query.answers, answer.body));
      }
    }
  }

  /**
   * Sends requests as one transaction of nf_tables: all or none, between the family's messages for begin and end.
   * Only the last request is acknowledged, so success is one answer.
   *
   * @throws NetlinkError the first refusal; nothing was changed then
   */
  transact({ begin, requests, end }: { begin: Request; requests: readonly Request[]; end: Request }): void {
    const all = [begin, ...requests, end];
    const sent = this.#send(all, { acknowledged: requests.length }); // the index of the last one in `all`
    let refusal: NetlinkError | undefined;
    let ended = false;
    for (
      let answers: Nlmsg[] | undefined = this.#receive();
      answers !== undefined;
      answers = ended ? this.#receiveArrived() : this.#receive()
    ) {
      for (const answer of answers) {
        const index = answer.sequence - sent.first;
        const request = all[index];
        if (answer.type !== NLMSG_ERROR || request === undefined) continue;
        refusal ??= refusalOf(request, decodeAnswer(answer), sent.message(index));
        if (refusal === undefined && index === requests.length) return; // the last one's success is that of all
        ended = true; // every refusal has arrived already
      }
    }
    if (refusal !== undefined) throw refusal;
  }

  /** Closes the socket. Better omitted before the process ends: closing a netfilter socket after a deletion waits for a grace period. */
  close(): void {
    this.#channel.close();
  }

  /** Sends all requests in one datagram. @param acknowledged The index of the request with NLM_F_ACK. */
  #send(requests: readonly Request[], { flags: added = 0, acknowledged = -1 } = {}): Sent {
    const first = this.#sequence + 1;
    const out = scratch;
    out.restart();
    const starts: number[] = [];
    for (let i = 0; i < requests.length; i++) {
      const { type, flags, table, value } = requests[i] as Request;
      const ack = i === acknowledged ? NLM_F_ACK : 0;
      const start = beginNlmsg(out, type, flags | added | ack | NLM_F_REQUEST, first + i);
      table.write(out, value, NO_SIBLINGS);
      endNlmsg(out, start);
      starts.push(start);
    }
    this.#sequence += requests.length;
    const datagram = out.bytes.subarray(0, out.at);
    if (this.#trace) trace(">", datagram);
    this.#channel.send(datagram, { isDump: (added & NLM_F_DUMP) !== 0 });
    return { first, message: (index) => datagram.subarray(starts[index] ?? datagram.length) };
  }

  #receive(): Nlmsg[] {
    return this.#nlmsgsOf(this.#channel.receive("answer"));
  }

  #receiveArrived(): Nlmsg[] | undefined {
    const datagram = this.#channel.receiveArrived();
    return datagram === undefined ? undefined : this.#nlmsgsOf(datagram);
  }

  /** Receives answers of a dump; returns undefined when the kernel dropped some. */
  #receiveOfDump(): Nlmsg[] | undefined {
    try {
      return this.#nlmsgsOf(this.#channel.receive("dump"));
    } catch (error) {
      if (isErrno(error, "ENOBUFS")) return undefined;
      throw error;
    }
  }

  #nlmsgsOf(datagram: Uint8Array): Nlmsg[] {
    if (this.#trace) trace("<", datagram);
    return decodeNlmsgs(datagram);
  }
}

/**
 * A connection that reads from the kernel but only collects the requests of transactions, so that several can be joined into one. What is
 * read through it is one state of the ruleset, so it can be kept.
 */
export class Draft extends Connection {
  readonly requests: Request[] = [];
  override memory = new Map<string, unknown>();

  override transact({ requests }: { requests: readonly Request[] }): void {
    for (const request of requests) this.requests.push(request); // push(...) takes no more than 65,535 in QuickJS
  }
}

export const draft = (family: number): Draft => new Draft(openChannel(family));

/** Opens a connection in a network namespace, by default in that of this process. */
export function connect(family: number, namespace?: Namespace): Connection {
  return new Connection(namespace === undefined ? openChannel(family) : within(namespace, () => openChannel(family)));
}

/** A subscription to multicast groups of the kernel: changes of links, addresses, routes. */
export interface Listener {
  /** The file descriptor, to wait for several at once. */
  readonly fd: number;
  /** Returns the next messages; undefined when none has come within the time. @throws SystemError ENOBUFS: the kernel dropped some */
  next(timeoutMs: number): Nlmsg[] | undefined;
  close(): void;
}

/** Subscribes to multicast groups. @param groups Sum of RTMGRP_* (1 << (RTNLGRP_* - 1)), or of 1 << (NFNLGRP_* - 1). */
export function listen(family: number, groups: number, namespace?: Namespace): Listener {
  const fd =
    namespace === undefined
      ? openSocket(AF_NETLINK, SOCK_RAW, family)
      : within(namespace, () => openSocket(AF_NETLINK, SOCK_RAW, family));
  bindSocket(fd, encode(socketAddress, { family: AF_NETLINK, groups }));
  const buffer = new Uint8Array(DUMP_BUFFER);
  return {
    fd,
    next: (timeoutMs) => (waitReadable([fd], timeoutMs).length > 0 ? decodeNlmsgs(receive(fd, buffer)) : undefined),
    close: () => closeFile(fd),
  };
}

/** linux/netlink.h: struct sockaddr_nl. */
const socketAddress = struct({ family: u16, padding: u16, port: u32, groups: u32 });

export function openChannel(family: number): Channel {
  const fd = openSocket(AF_NETLINK, SOCK_RAW, family);
  setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  let repeatsRequests = true; // in refusals; the kernel's default
  let filtersDumps = family !== NETLINK_ROUTE;
  return {
    fd,
    send(datagram, { isDump }) {
      if (repeatsRequests && datagram.length > LONG_REQUEST) {
        setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
        repeatsRequests = false;
      }
      if (isDump && !filtersDumps) {
        trySocketOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1); // lets the kernel filter dumps, since 4.20
        filtersDumps = true;
      }
      if (datagram.length > LARGE_BATCH) trySocketOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, 2 * datagram.length);
      send(fd, datagram);
    },
    receive(kind) {
      if (kind === "answer") return receive(fd, answerBuffer);
      return receive(fd, dumpBuffer());
    },
    receiveArrived: () => receiveArrived(fd, answerBuffer),
    close: () => closeFile(fd),
  };
}

function refusalOf(request: Request, answer: Answer, sent: Uint8Array): NetlinkError | undefined {
  if (answer.errno === 0) return undefined;
  const attribute = answer.offset === undefined ? undefined : nameAt(request, sent, answer.offset);
  return new NetlinkError(request.name, {
    errno: answer.errno,
    ...(answer.message !== undefined && { message: answer.message }),
    ...(attribute !== undefined && { attribute }),
  });
}

/** Reports whether a refusal says that the object does not exist. */
const isMissing = (error: unknown): boolean => isErrno(error, "ENODEV", "ENOENT", "ESRCH", "ENXIO");

/** Returns the name of the attribute at `offset`, counted from the nlmsghdr. */
function nameAt({ table }: Request, sent: Uint8Array, offset: number): string | undefined {
  return attributeAt(table, sent.subarray(NLMSG_HDRLEN), offset - NLMSG_HDRLEN);
}

function nothingCame(query: Request): SystemError {
  return new SystemError(query.name, Errno.ENODATA);
}

function trace(direction: string, datagram: Uint8Array): void {
  for (const line of explain(datagram).split("\n")) writeStderr(`${direction} ${line}\n`);
}
