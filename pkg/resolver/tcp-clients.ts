/** Clients that ask by TCP. They are few: those whose answer did not fit into a datagram. */
import { concat } from "../bytes/concat.ts";
import { LARGEST_MESSAGE } from "../dns/message.ts";
import { Errno, isErrno, SystemError } from "../sys/errno.ts";
import { closeFile } from "../sys/file.ts";
import { sendSome } from "../sys/inet-socket.ts";
import { acceptConnection, receiveStream } from "../sys/unix-socket.ts";
import type { EventLoop } from "./event-loop.ts";
import { messageIn, withLength } from "./forwarder.ts";

/** Of all containers, and of one. */
const MOST_CLIENTS = 256;
const MOST_OF_ONE = 32;
/** Queries of one connection that wait for answers; those behind them are read later. */
const MOST_QUERIES = 16;
/** Answers that a client has not taken. */
const MOST_UNSENT = 2 * LARGEST_MESSAGE;
/** RFC 7766, 6.2.3, leaves it to the server, in the order of seconds. */
const IDLE_MS = 10_000;

interface Client {
  fd: number;
  received: Uint8Array;
  unsent: Uint8Array;
  /** Queries without an answer yet. */
  open: number;
  idleAtMs: number;
  serve: Serve;
  /** Key of the listen address. */
  listenAddress: string;
}

type Serve = (message: Uint8Array, answer: (message: Uint8Array) => void) => void;

export class TcpClients {
  readonly #loop: EventLoop;
  /** In the order in which they become idle. */
  readonly #clients = new Set<Client>();
  readonly #countOf = new Map<string, number>();
  readonly #buffer = new Uint8Array(4096);
  #nowMs = 0;

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** Accepts the clients of a listener. @param key the listen address, whose clients are counted. */
  accept(listener: number, key: string, { mayAsk, serve }: { mayAsk: (fd: number) => boolean; serve: Serve }): void {
    try {
      for (let fd = acceptConnection(listener); fd !== undefined; fd = acceptConnection(listener)) {
        if (mayAsk(fd)) this.#add(fd, key, serve);
        else closeFile(fd);
      }
    } catch (error) {
      if (!isErrno(error, "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")) throw error;
      this.#endLongestIdle(); // so that the next one has a descriptor
    }
  }

  #add(fd: number, key: string, serve: Serve): void {
    const count = this.#countOf.get(key) ?? 0;
    const empty = new Uint8Array(0);
    const client: Client = {
      fd,
      received: empty,
      unsent: empty,
      open: 0,
      idleAtMs: this.#nowMs + IDLE_MS,
      serve,
      listenAddress: key,
    };
    this.#countOf.set(key, count + 1);
    this.#clients.add(client);
    this.#loop.watch(fd, () => this.#ready(client));
    if (count >= MOST_OF_ONE) this.#end(client);
    else if (this.#clients.size > MOST_CLIENTS) this.#endLongestIdle();
  }

  /** Ends connections that are idle for too long. @returns when the next one is */
  tick(nowMs: number): number {
    this.#nowMs = nowMs;
    for (const client of this.#clients) {
      if (client.idleAtMs > nowMs) return client.idleAtMs;
      this.#end(client);
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Ends the connections of a listen address that is no longer served. */
  endAll(listenAddress: string): void {
    for (const client of [...this.#clients]) if (client.listenAddress === listenAddress) this.#end(client);
  }

  #endLongestIdle(): void {
    for (const client of this.#clients) {
      this.#end(client);
      return;
    }
  }

  #ready(client: Client): void {
    try {
      this.#flush(client);
      const bytes = receiveStream(client.fd, this.#buffer);
      if (bytes === undefined) return;
      if (bytes.length === 0) this.#end(client);
      else this.#take(client, bytes);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#end(client);
    }
  }

  #take(client: Client, bytes: Uint8Array): void {
    client.received = concat([client.received, bytes]);
    this.#touch(client);
    this.#serveReceived(client);
    if (client.received.length > 2 + LARGEST_MESSAGE || client.open > MOST_QUERIES) this.#end(client);
  }

  #touch(client: Client): void {
    client.idleAtMs = this.#nowMs + IDLE_MS;
    if (this.#clients.delete(client)) this.#clients.add(client); // goes to the end
  }

  #serveReceived(client: Client): void {
    for (let message = messageIn(client.received); message !== undefined; message = messageIn(client.received)) {
      client.received = client.received.slice(2 + message.length);
      client.open++;
      client.serve(message.slice(), (answer) => this.#send(client, answer));
      if (client.open > MOST_QUERIES) return;
    }
  }

  #send(client: Client, answer: Uint8Array): void {
    if (!this.#clients.has(client)) return;
    client.open--;
    client.unsent = concat([client.unsent, withLength(answer)]);
    try {
      this.#flush(client);
      if (client.unsent.length > MOST_UNSENT) this.#end(client); // it asks and does not read
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#end(client);
    }
  }

  /** @throws SystemError the client is gone, or does not read */
  #flush(client: Client): void {
    if (client.unsent.length === 0) return;
    const sent = sendSome(client.fd, client.unsent);
    if (sent < 0 && sent !== -Errno.EAGAIN) throw new SystemError("sendto", -sent);
    client.unsent = client.unsent.slice(Math.max(0, sent));
    this.#loop.watchWritable(client.fd, client.unsent.length > 0);
  }

  #end(client: Client): void {
    if (!this.#clients.delete(client)) return;
    this.#loop.close(client.fd);
    const left = (this.#countOf.get(client.listenAddress) ?? 1) - 1;
    if (left === 0) this.#countOf.delete(client.listenAddress);
    else this.#countOf.set(client.listenAddress, left);
  }
}
