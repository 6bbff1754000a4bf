/**
 * Asks the host's resolvers what the names of the networks do not answer.
 *
 * Servers are asked one after the other, the one that answered last first. Each has a second; then the next is asked as well, while an
 * answer of the first is still taken. Each question goes out from a socket of its own, with a random port and ID, and the kernel drops what
 * does not come from the server asked. What does come is judged before it is passed on.
 */

import { concat } from "../bytes/concat.ts";
import {
  encodeRefusal,
  forwardedAnswer,
  judgeAnswer,
  LARGEST_MESSAGE,
  type Query,
  Rcode,
  type Transport,
  withId,
} from "../dns/message.ts";
import { type ResolvConf, readResolvConf } from "../dns/resolv-conf.ts";
import type { Address } from "../ip/address.ts";
import { bootMs } from "../sys/clock.ts";
import { SystemError } from "../sys/errno.ts";
import { findStat, readRecord } from "../sys/file.ts";
import { connectTcp, connectUdp, receiveFrom, sendSome, takeSocketError } from "../sys/inet-socket.ts";
import { randomBytes } from "../sys/random.ts";
import { receiveStream } from "../sys/unix-socket.ts";
import type { EventLoop } from "./event-loop.ts";

const DNS_PORT = 53;

/** The C libraries give up after five seconds: they are told before. */
const ATTEMPTS = 4;
const ATTEMPT_MS = 1000;

/** So many questions may wait for answers, of all containers and of one: memory and sockets are bounded, and no container takes all. */
const MOST_EXCHANGES = 1024;
const MOST_OF_ONE = 256;

/** One question that waits for an answer. */
interface Exchange {
  /** The client's namespace, as a key. */
  client: string;
  /** Who is asked. */
  servers: readonly Address[];
  query: Query;
  message: Uint8Array;
  transport: Transport;
  attempts: Attempt[];
  /** How many attempts were made, and the server of the first one. */
  made: number;
  first: number | undefined;
  /** An answer of a server that could not help, for when no other can. */
  failure: Uint8Array | undefined;
  answer: (message: Uint8Array) => void;
}

interface Attempt {
  fd: number;
  id: number;
  /** Index of the server. */
  server: number;
  /** By TCP, what is still to be sent, and what has come. */
  unsent: Uint8Array;
  received: Uint8Array;
}

/** Who asks. */
export interface Client {
  /** Its namespace. */
  key: string;
  /** Servers to ask in the place of the host's; none: the host's. */
  servers: readonly Address[];
}

export interface ForwarderOptions {
  loop: EventLoop;
  /** Path of the host's resolv.conf. */
  resolvConf: string;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #exchanges = new Set<Exchange>();
  readonly #countOf = new Map<string, number>();
  readonly #buffer = new Uint8Array(LARGEST_MESSAGE);
  /** Until when each waits for the server asked last. In the order of time, since all get the same. */
  readonly #waiting = new Map<Exchange, number>();
  #conf: ResolvConf = { servers: [], search: [], options: [] };
  #confStamp = "";
  /** Index of the server that is asked first. */
  #first = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Asks; `answer` is called once, at once or later, with what the client is to get. */
  ask(
    { key: client, servers: own }: Client,
    query: Query,
    message: Uint8Array,
    transport: Transport,
    answer: Exchange["answer"],
  ): void {
    const count = this.#countOf.get(client) ?? 0;
    this.#readConf();
    const servers = own.length > 0 ? own : this.#conf.servers;
    if (servers.length === 0 || this.#exchanges.size >= MOST_EXCHANGES || count >= MOST_OF_ONE) {
      answer(encodeRefusal(query, Rcode.serverFailure));
      return;
    }
    this.#countOf.set(client, count + 1);
    const exchange: Exchange = {
      client,
      servers,
      query,
      message: message.slice(),
      transport,
      attempts: [],
      made: 0,
      first: undefined,
      failure: undefined,
      answer,
    };
    this.#exchanges.add(exchange);
    this.#tryNext(exchange);
  }

  /** Asks further servers where the time is up. @returns when it is next */
  tick(nowMs: number): number {
    for (const [exchange, untilMs] of this.#waiting) {
      if (untilMs > nowMs) return untilMs;
      this.#waiting.delete(exchange);
      this.#passOver(exchange);
      this.#tryNext(exchange);
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Has other questions begin with the server after one that is silent. */
  #passOver({ servers, attempts }: Exchange): void {
    if (servers !== this.#conf.servers || attempts.at(-1)?.server !== this.#first) return;
    this.#first = (this.#first + 1) % servers.length;
  }

  #readConf(): void {
    const { resolvConf } = this.#options;
    const stat = findStat(resolvConf);
    const stamp = stat === undefined ? "none" : `${stat.device}/${stat.inode}/${stat.size}/${stat.changedNs}`;
    if (stamp === this.#confStamp) return;
    this.#confStamp = stamp;
    const text = readRecord(resolvConf);
    this.#conf = readResolvConf(typeof text === "string" ? text : ""); // a directory, or a FIFO, has no servers
    this.#first = 0;
  }

  #tryNext(exchange: Exchange): void {
    const { servers } = exchange;
    while (exchange.made < ATTEMPTS) {
      exchange.first ??= servers === this.#conf.servers ? this.#first : 0;
      const server = (exchange.first + exchange.made) % servers.length;
      exchange.made++;
      if (this.#start(exchange, server)) return;
    }
    this.#end(exchange, exchange.failure ?? encodeRefusal(exchange.query, Rcode.serverFailure));
  }

  /** @returns false: the server cannot be reached */
  #start(exchange: Exchange, server: number): boolean {
    const { loop } = this.#options;
    const [high = 0, low = 0] = randomBytes(2);
    const id = (high << 8) | low;
    const message = withId(exchange.message, id);
    const attempt: Attempt = { fd: -1, id, server, unsent: new Uint8Array(0), received: new Uint8Array(0) };
    try {
      const remote = { address: exchange.servers[server] as Uint8Array, port: DNS_PORT };
      attempt.fd = exchange.transport === "udp" ? connectUdp(remote) : connectTcp(remote);
    } catch (error) {
      if (error instanceof SystemError) return false; // ENETUNREACH, EMFILE
      throw error;
    }
    exchange.attempts.push(attempt);
    if (exchange.transport === "udp") {
      loop.watch(attempt.fd, () => this.#receive(exchange, attempt));
      sendSome(attempt.fd, message);
    } else {
      attempt.unsent = withLength(message);
      loop.watch(attempt.fd, () => this.#continueTcp(exchange, attempt));
      loop.watchWritable(attempt.fd, true);
    }
    this.#waiting.delete(exchange); // goes to the end
    this.#waiting.set(exchange, bootMs() + ATTEMPT_MS);
    return true;
  }

  #receive(exchange: Exchange, attempt: Attempt): void {
    try {
      const datagram = receiveFrom(attempt.fd, this.#buffer);
      if (datagram !== undefined) this.#judge(exchange, attempt, datagram.data);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#fail(exchange, attempt, undefined); // ECONNREFUSED: nobody listens
    }
  }

  #continueTcp(exchange: Exchange, attempt: Attempt): void {
    const { loop } = this.#options;
    if (takeSocketError(attempt.fd) !== 0) {
      this.#fail(exchange, attempt, undefined);
      return;
    }
    if (attempt.unsent.length > 0) {
      attempt.unsent = attempt.unsent.subarray(Math.max(0, sendSome(attempt.fd, attempt.unsent)));
      if (attempt.unsent.length === 0) loop.watchWritable(attempt.fd, false);
    }
    try {
      const bytes = receiveStream(attempt.fd, this.#buffer);
      if (bytes === undefined) return;
      attempt.received = concat([attempt.received, bytes]);
      const message = messageIn(attempt.received);
      if (message !== undefined) this.#judge(exchange, attempt, message);
      else if (bytes.length === 0) this.#fail(exchange, attempt, undefined);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#fail(exchange, attempt, undefined);
    }
  }

  /** Takes an answer. By UDP one that is wrong may be forged, and the right one still comes; by TCP nothing else comes. */
  #judge(exchange: Exchange, attempt: Attempt, message: Uint8Array): void {
    const verdict = judgeAnswer(message, attempt.id, exchange.query);
    if ("problem" in verdict) {
      if (exchange.transport === "tcp") this.#fail(exchange, attempt, undefined);
      return;
    }
    const answer = forwardedAnswer(message, exchange.query, exchange.transport);
    if (verdict.rcode === Rcode.noError || verdict.rcode === Rcode.nameError) {
      if (exchange.servers === this.#conf.servers) this.#first = attempt.server;
      this.#end(exchange, answer);
    } else this.#fail(exchange, attempt, answer);
  }

  /** Asks the next server, unless another attempt is on its way. */
  #fail(exchange: Exchange, attempt: Attempt, answer: Uint8Array | undefined): void {
    this.#options.loop.close(attempt.fd);
    exchange.attempts = exchange.attempts.filter((one) => one !== attempt);
    exchange.failure = answer ?? exchange.failure;
    const hasAskedAll = exchange.made >= exchange.servers.length;
    if (!hasAskedAll) this.#tryNext(exchange);
    else if (exchange.attempts.length === 0)
      this.#end(exchange, exchange.failure ?? encodeRefusal(exchange.query, Rcode.serverFailure));
  }

  #end(exchange: Exchange, answer: Uint8Array): void {
    if (!this.#exchanges.delete(exchange)) return;
    this.#waiting.delete(exchange);
    for (const { fd } of exchange.attempts) this.#options.loop.close(fd);
    const count = (this.#countOf.get(exchange.client) ?? 1) - 1;
    if (count === 0) this.#countOf.delete(exchange.client);
    else this.#countOf.set(exchange.client, count);
    exchange.answer(answer);
  }
}

/** Returns a message as it goes by TCP: behind its length. */
export function withLength(message: Uint8Array): Uint8Array {
  return concat([Uint8Array.of(message.length >> 8, message.length & 0xff), message]);
}

/** Returns the first message of what came by TCP; undefined: it is not whole yet. */
export function messageIn(received: Uint8Array): Uint8Array | undefined {
  const [high, low] = received;
  if (high === undefined || low === undefined) return undefined;
  const end = 2 + ((high << 8) | low);
  return received.length < end ? undefined : received.subarray(2, end);
}
