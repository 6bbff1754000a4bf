/**
 * A netlink socket: requests go out, answers are matched by sequence number. The only part of this folder that knows sockets.
 *
 * Everything is synchronous: the kernel works on a request inside the system call that sends it, so that its answers wait
 * to be read when that returns.
 */
import { Errno, errnoName, isErrno, SystemError } from "../sys/errno.ts";
import { closeFile, writeAll } from "../sys/file.ts";
import { type Namespace, within } from "../sys/namespace.ts";
import { standardError, variable } from "../sys/process.ts";
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
  waitReadable,
} from "../sys/socket.ts";
import { encode as encodeText } from "../sys/text.ts";
import { explain } from "./explain.ts";
import {
  type Answer,
  decodeAnswer,
  type Frame,
  frames,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  writeFrame,
} from "./frame.ts";
import { attributeAt, decode, encode } from "./message.ts";
import { type AnyWire, struct, u16, u32, type Wire, Writer } from "./wire.ts";

/** linux/netlink.h */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** Larger than any datagram of a dump (32 kB, or what one link with all its virtual functions needs). */
const DUMP_BUFFER = 65536;
/**
 * For all answers but dumps, which are a few kB at most. One for all connections, since an answer has been decoded before the next
 * one is received; a buffer of each socket's own would be fresh memory that the kernel clears first.
 */
const answerBuffer = new Uint8Array(16384);
/** Above the socket's usual send buffer (208 kB): a batch of thousands of messages is one send. */
const LARGE_BATCH = 128 << 10;
/**
 * So many requests are sent together, for if the kernel refuses them all, its answers have to fit into the socket's receive buffer
 * (208 kB, of which a refusal with the kernel's words takes 1.3 kB): what does not fit is lost.
 */
const CHUNK = 128;
/** So often a dump is asked for before "it changes all the time" is the answer. */
const DUMP_ATTEMPTS = 20;

/** What to ask of the kernel: a message with its table. Made by functions of the nouns (`newLink`, `deleteRoute`). */
export interface Request {
  /** The kernel's name of the message, `RTM_NEWLINK`. */
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

export const request = <Out, In>({ flags = 0, ...parts }: Parts<Out, In>): Request => ({ ...parts, flags });

export const query = <Out, In>(parts: Parts<Out, In>): Query<Out> => ({ ...request(parts), answers: parts.table });

/** The kernel refused a request. */
export class NetlinkError extends Error {
  override name = "NetlinkError";
  /** `RTM_NEWADDR` */
  readonly request: string;
  readonly errno: number;
  /** The kernel's own words, where it has some. */
  readonly kernelMessage: string | undefined;
  /** The attribute it points at: `IFLA_LINKINFO > IFLA_INFO_DATA`. */
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

/** Where requests go and answers come from: a netlink socket, or a test's idea of a kernel. */
export interface Channel {
  readonly fd: number;
  send(datagram: Uint8Array): void;
  /** The next datagram, valid until the next call of any channel; waits for it. */
  receive(kind: "answer" | "dump"): Uint8Array;
  /** A datagram that is there already. */
  receiveArrived(): Uint8Array | undefined;
  close(): void;
}

interface Sent {
  /** Sequence number of the first request; the others' follow. */
  first: number;
  /** The request, from its nlmsghdr on, with whatever follows it. */
  message(index: number): Uint8Array;
}

export class Connection {
  readonly #channel: Channel;
  readonly #trace: boolean;
  #sequence = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#trace = variable("TWILL_TRACE") === "1";
  }

  /** For ioctls about the namespace that the socket is in. */
  get fd(): number {
    return this.#channel.fd;
  }

  /** Has the kernel do one thing. @throws NetlinkError it refuses */
  request(request: Request): void {
    this.requestAll([request]);
  }

  /**
   * Has the kernel do several things in this order, in one send. It does the later ones also when it refuses an earlier one.
   *
   * @throws NetlinkError the first refusal
   */
  requestAll(requests: readonly Request[]): void {
    const refusal = this.attemptAll(requests).find((outcome) => outcome !== undefined);
    if (refusal !== undefined) throw refusal;
  }

  /** The same, with the refusal of each request (or undefined) as the answer. Any number of them: they are sent in chunks. */
  attemptAll(requests: readonly Request[]): (NetlinkError | undefined)[] {
    const outcomes: (NetlinkError | undefined)[] = new Array(requests.length).fill(undefined);
    for (let from = 0; from < requests.length; from += CHUNK) {
      this.#attempt(requests.slice(from, from + CHUNK), (index, refusal) => {
        outcomes[from + index] = refusal;
      });
    }
    return outcomes;
  }

  /** The kernel always tells of a refusal; of success only at the end, since an answer for each takes longer than most requests. */
  #attempt(requests: readonly Request[], refused: (index: number, refusal: NetlinkError | undefined) => void): void {
    const last = requests.length - 1;
    const sent = this.#send(requests, { acknowledged: last });
    let ended = false;
    for (
      let answers: Frame[] | undefined = this.#receive();
      answers !== undefined;
      answers = this.#next({ ended, alone: last === 0 })
    ) {
      for (const answer of answers) {
        const index = answer.sequence - sent.first;
        const request = requests[index];
        if (answer.type !== NLMSG_ERROR || request === undefined) continue; // of an earlier request, or an echo
        refused(index, refusalOf(request, decodeAnswer(answer), sent.message(index)));
        if (index === last) ended = true;
      }
    }
  }

  /** What else has come after the end; nothing can have when there was one request. */
  #next({ ended, alone }: { ended: boolean; alone: boolean }): Frame[] | undefined {
    if (!ended) return this.#receive();
    return alone ? undefined : this.#receiveArrived();
  }

  /** The one message the kernel answers with. @throws NetlinkError it has none, ENODEV or ENOENT mostly */
  get<Out>(query: Query<Out>): Out {
    return this.requestAllAndGet([], query);
  }

  /**
   * Has the kernel do several things in this order and then answer a query, in one send: it has done all of them, or refused them, when
   * the system call returns, and a signal that ends the process meanwhile takes effect after that. It does the later ones also when it
   * refuses an earlier one.
   *
   * @returns the one message that the query is answered with. @throws NetlinkError the first refusal
   */
  requestAllAndGet<Out>(requests: readonly Request[], query: Query<Out>): Out {
    const all = [...requests, query];
    const sent = this.#send(all);
    let refusal: NetlinkError | undefined;
    for (;;) {
      for (const answer of this.#receive()) {
        const index = answer.sequence - sent.first;
        const request = all[index];
        if (request === undefined) continue; // of an earlier request
        if (answer.type === NLMSG_ERROR) refusal ??= refusalOf(request, decodeAnswer(answer), sent.message(index));
        if (request !== query) continue;
        if (refusal !== undefined) throw refusal;
        if (answer.type === NLMSG_ERROR) throw nothingCame(query);
        return decode(query.answers, answer.body);
      }
    }
  }

  /** The one message the kernel answers with; undefined when there is no such thing. @throws NetlinkError any other refusal */
  find<Out>(query: Query<Out>): Out | undefined {
    try {
      return this.get(query);
    } catch (error) {
      if (isErrno(error, "ENODEV", "ENOENT", "ESRCH", "ENXIO")) return undefined;
      throw error;
    }
  }

  /**
   * Everything of a kind. Asks again when the kernel says that something changed meanwhile, or that it had no room for its answers: what is returned is consistent.
   *
   * @throws NetlinkError it refuses; EAGAIN: it changed during each of many attempts
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

  /** The answers of a dump, undefined when it was interrupted. */
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
   * Has the kernel do all of it or nothing, as nf_tables does it: between the family's messages for begin and end.
   * Only the last request is acknowledged, so that success is one answer.
   *
   * @throws NetlinkError the first refusal; nothing has been done then
   */
  transact({ begin, requests, end }: { begin: Request; requests: readonly Request[]; end: Request }): void {
    const all = [begin, ...requests, end];
    const sent = this.#send(all, { acknowledged: requests.length }); // the index of the last one in `all`
    let refusal: NetlinkError | undefined;
    let ended = false;
    for (
      let answers: Frame[] | undefined = this.#receive();
      answers !== undefined;
      answers = ended ? this.#receiveArrived() : this.#receive()
    ) {
      for (const answer of answers) {
        const index = answer.sequence - sent.first;
        const request = all[index];
        if (answer.type !== NLMSG_ERROR || request === undefined) continue;
        ended = true; // either everything went well, or every refusal is there already
        refusal ??= refusalOf(request, decodeAnswer(answer), sent.message(index));
      }
    }
    if (refusal !== undefined) throw refusal;
  }

  /** Not needed before the process ends: closing a netfilter socket after a deletion waits for a grace period. */
  close(): void {
    this.#channel.close();
  }

  /** All in one datagram. @param acknowledged Index of the request that the kernel answers also when it is content. */
  #send(requests: readonly Request[], { flags: added = 0, acknowledged = -1 } = {}): Sent {
    const first = this.#sequence + 1;
    const out = new Writer();
    const starts = requests.map(({ type, flags, table, value }, i) => {
      const ack = i === acknowledged ? NLM_F_ACK : 0;
      const header = { type, flags: flags | added | ack | NLM_F_REQUEST, sequence: ++this.#sequence };
      return writeFrame(out, header, () => table.write(out, value, {}));
    });
    const datagram = out.bytes.subarray(0, out.at);
    if (this.#trace) trace(">", datagram);
    this.#channel.send(datagram);
    return { first, message: (index) => datagram.subarray(starts[index] ?? datagram.length) };
  }

  #receive(): Frame[] {
    return this.#framesOf(this.#channel.receive("answer"));
  }

  #receiveArrived(): Frame[] | undefined {
    const datagram = this.#channel.receiveArrived();
    return datagram === undefined ? undefined : this.#framesOf(datagram);
  }

  /** undefined when the kernel dropped some. */
  #receiveOfDump(): Frame[] | undefined {
    try {
      return this.#framesOf(this.#channel.receive("dump"));
    } catch (error) {
      if (isErrno(error, "ENOBUFS")) return undefined;
      throw error;
    }
  }

  #framesOf(datagram: Uint8Array): Frame[] {
    if (this.#trace) trace("<", datagram);
    return frames(datagram);
  }
}

/** Sees the kernel as it is and keeps what would be changed: for who wants the changes of several to be one transaction. */
export class Draft extends Connection {
  readonly requests: Request[] = [];

  override transact({ requests }: { requests: readonly Request[] }): void {
    this.requests.push(...requests);
  }
}

export const draft = (family: number): Draft => new Draft(openChannel(family));

/** A connection of the namespace, of the one this process runs in by default. */
export function connect(family: number, namespace?: Namespace): Connection {
  return new Connection(namespace === undefined ? openChannel(family) : within(namespace, () => openChannel(family)));
}

/** What the kernel tells to everybody who asks: changes of links, addresses, routes. */
export interface Listener {
  /** For whoever waits for several at once. */
  readonly fd: number;
  /** Messages that have come, undefined when none has after the time. @throws SystemError ENOBUFS: some were dropped */
  next(timeoutMs: number): Frame[] | undefined;
  close(): void;
}

/** @param groups Sum of RTMGRP_* (1 << (RTNLGRP_* - 1)), or of 1 << (NFNLGRP_* - 1). */
export function listen(family: number, groups: number, namespace?: Namespace): Listener {
  const fd =
    namespace === undefined
      ? openSocket(AF_NETLINK, SOCK_RAW, family)
      : within(namespace, () => openSocket(AF_NETLINK, SOCK_RAW, family));
  bindSocket(fd, encode(socketAddress, { family: AF_NETLINK, groups }));
  const buffer = new Uint8Array(DUMP_BUFFER);
  return {
    fd,
    next: (timeoutMs) => (waitReadable([fd], timeoutMs).length > 0 ? frames(receive(fd, buffer)) : undefined),
    close: () => closeFile(fd),
  };
}

/** linux/netlink.h: struct sockaddr_nl. */
const socketAddress = struct({ family: u16, padding: u16, port: u32, groups: u32 });

function openChannel(family: number): Channel {
  const fd = openSocket(AF_NETLINK, SOCK_RAW, family);
  setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  if (family === NETLINK_ROUTE) trySocketOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1); // dumps filtered by the kernel, since 4.20
  let dumpBuffer: Uint8Array | undefined;
  return {
    fd,
    send(datagram) {
      if (datagram.length > LARGE_BATCH) trySocketOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, 2 * datagram.length);
      send(fd, datagram);
    },
    receive(kind) {
      if (kind === "answer") return receive(fd, answerBuffer);
      dumpBuffer ??= new Uint8Array(DUMP_BUFFER);
      return receive(fd, dumpBuffer);
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

/** `offset` counts from the message's header on. */
function nameAt({ table }: Request, sent: Uint8Array, offset: number): string | undefined {
  return attributeAt(table, sent.subarray(NLMSG_HDRLEN), offset - NLMSG_HDRLEN);
}

function nothingCame(query: Request): SystemError {
  return new SystemError(query.name, Errno.ENODATA);
}

function trace(direction: string, datagram: Uint8Array): void {
  for (const line of explain(datagram).split("\n")) writeAll(standardError, encodeText(`${direction} ${line}\n`));
}
