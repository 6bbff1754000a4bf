/** A connection to the system bus. Calls are synchronous: each one waits for its reply. */
import { Errno, isErrno, SystemError } from "../sys/errno.ts";
import { closeFile } from "../sys/file.ts";
import { waitReadable } from "../sys/poll.ts";
import { variable } from "../sys/process.ts";
import { decode, encode } from "../sys/text.ts";
import { connectUnix, receiveStream, sendStream } from "../sys/unix-socket.ts";
import { socketsOf } from "./address.ts";
import { type Call, decodeMessage, encodeCall, type Message, sizeOf, type Value } from "./message.ts";

/** The usual timeout of D-Bus clients. firewalld takes some ms, and half a second while it reloads. */
const ANSWER_MS = 25_000;
/** The timeout for calls of the bus itself, which answers at once unless it hangs. */
const HANDSHAKE_MS = 5_000;

/** A service on the bus, or the bus itself, returned an error for a call. */
export class RefusedCall extends Error {
  override name = "RefusedCall";
  /** The name of the error, as `org.freedesktop.DBus.Error.ServiceUnknown`. */
  readonly errorName: string;

  constructor(errorName: string, message: string) {
    super(message === "" ? errorName : message);
    this.errorName = errorName;
  }
}

const THE_BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
};

/**
 * Connects to the system bus. @returns undefined: none listens
 *
 * @throws SystemError it refuses the connection, or does not answer
 */
export function findSystemBus(): Bus | undefined {
  for (const name of socketsOf(variable("DBUS_SYSTEM_BUS_ADDRESS"))) {
    const fd = findListener(name);
    if (fd !== undefined) return new Bus(fd);
  }
  return undefined;
}

function findListener(name: string): number | undefined {
  try {
    return connectUnix(name);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ECONNREFUSED", "ENOTDIR", "ENOTSOCK")) return undefined;
    throw error;
  }
}

/** Authenticates by the socket's credentials, which the kernel passes. All lines are sent at once; the replies are checked afterwards. */
const HANDSHAKE = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

export class Bus {
  readonly #fd: number;
  #received: Uint8Array = new Uint8Array();
  #serial = 0;

  /** @param fd A connected socket that was not used yet. */
  constructor(fd: number) {
    this.#fd = fd;
    const hello = encodeCall({ ...THE_BUS, member: "Hello", args: [] }, ++this.#serial);
    sendStream(fd, Uint8Array.from([...encode(HANDSHAKE), ...hello]), "wait");
    this.#readHandshake();
    this.#answerTo(this.#serial, HANDSHAKE_MS);
  }

  /** Calls a method. @throws RefusedCall. SystemError: there was no reply */
  call(call: Call): readonly Value[] {
    sendStream(this.#fd, encodeCall(call, ++this.#serial), "wait");
    return this.#answerTo(this.#serial, ANSWER_MS);
  }

  /** Reports whether a service on the bus has this name. */
  hasOwner(name: string): boolean {
    return this.call({ ...THE_BUS, member: "NameHasOwner", args: [name] })[0] === true;
  }

  close(): void {
    closeFile(this.#fd);
  }

  #readHandshake(): void {
    for (let line = this.#takeLine(); !line.startsWith("OK "); line = this.#takeLine()) {
      if (!line.startsWith("DATA"))
        throw new SystemError("connect", Errno.EACCES, `the system bus, which says ${line}`);
    }
  }

  #takeLine(): string {
    for (;;) {
      const end = this.#received.indexOf("\n".charCodeAt(0));
      if (end >= 0) return decode(this.#take(end + 1)).trim();
      this.#receiveMore(HANDSHAKE_MS);
    }
  }

  #answerTo(serial: number, timeoutMs: number): readonly Value[] {
    for (;;) {
      const { kind, replyTo, errorName, args } = this.#nextMessage(timeoutMs);
      if (replyTo !== serial) continue; // a signal, such as NameAcquired
      if (kind === "return") return args;
      if (kind === "error") throw new RefusedCall(errorName ?? "", String(args[0] ?? ""));
    }
  }

  #nextMessage(timeoutMs: number): Message {
    for (;;) {
      const size = sizeOf(this.#received);
      if (size !== undefined && size <= this.#received.length) return decodeMessage(this.#take(size));
      this.#receiveMore(timeoutMs);
    }
  }

  #take(size: number): Uint8Array {
    const taken = this.#received.slice(0, size);
    this.#received = this.#received.slice(size);
    return taken;
  }

  #receiveMore(timeoutMs: number): void {
    if (waitReadable([this.#fd], timeoutMs).length === 0)
      throw new SystemError("recvfrom", Errno.ETIMEDOUT, "the system bus");
    const part = receiveStream(this.#fd, new Uint8Array(4096));
    if (part === undefined) return;
    if (part.length === 0) throw new SystemError("recvfrom", Errno.ECONNRESET, "the system bus");
    this.#received = Uint8Array.from([...this.#received, ...part]);
  }
}
