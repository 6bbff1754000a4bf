/**
 * Implements Go's net/rpc over HTTP CONNECT, the protocol between the reference plugin `dhcp` and its daemon, so that each of them works with ours. Pure.
 *
 * @see https://pkg.go.dev/net/rpc
 */
import { decode, encode } from "../sys/text.ts";
import { GobError, GobReader, type GobStruct, GobWriter, type StructType } from "./gob.ts";

const requestHeader: StructType = {
  name: "Request",
  fields: [
    ["ServiceMethod", "string"],
    ["Seq", "uint"],
  ],
};
const responseHeader: StructType = {
  name: "Response",
  fields: [
    ["ServiceMethod", "string"],
    ["Seq", "uint"],
    ["Error", "string"],
  ],
};
const nothing: StructType = { name: "", fields: [] };

const greeting = encode("CONNECT /_goRPC_ HTTP/1.0\n\n");
const welcome = encode("HTTP/1.0 200 Connected to Go RPC\n\n");
const wrongGreeting = encode("HTTP/1.0 405 Method Not Allowed\n\n405 must CONNECT\n");
const LONGEST_GREETING = 4096;

export interface RpcRequest {
  method: string;
  sequence: number;
  args: GobStruct;
}

/** The server side of a connection. */
export class RpcServer {
  readonly #reader = new GobReader();
  readonly #writer = new GobWriter();
  readonly #opening = new Opening();
  #header: GobStruct | undefined;

  /** Processes received bytes. @returns bytes to send at once, and the requests. @throws GobError the client uses another protocol */
  receive(bytes: Uint8Array): { send: Uint8Array | undefined; requests: RpcRequest[] } {
    const opened = this.#opening.receive(bytes);
    if (opened === undefined) return { send: undefined, requests: [] };
    if (!/^CONNECT \/_goRPC_ HTTP\/1\.[01]$/.test(opened.line)) return { send: wrongGreeting, requests: [] };
    this.#reader.push(opened.rest);
    return { send: opened.isFirst ? welcome : undefined, requests: this.#requests() };
  }

  #requests(): RpcRequest[] {
    const requests: RpcRequest[] = [];
    for (let value = this.#reader.next(); value !== undefined; value = this.#reader.next()) {
      if (this.#header === undefined) {
        this.#header = value;
        continue;
      }
      const { ServiceMethod, Seq } = this.#header;
      requests.push({ method: String(ServiceMethod ?? ""), sequence: Number(Seq ?? 0), args: value });
      this.#header = undefined;
    }
    return requests;
  }

  answer({ method, sequence }: RpcRequest, type: StructType, value: GobStruct): Uint8Array {
    return this.#respond({ ServiceMethod: method, Seq: sequence }, type, value);
  }

  refuse({ method, sequence }: RpcRequest, error: string): Uint8Array {
    return this.#respond({ ServiceMethod: method, Seq: sequence, Error: error }, nothing, {});
  }

  #respond(header: GobStruct, type: StructType, value: GobStruct): Uint8Array {
    return joined(this.#writer.write(responseHeader, header), this.#writer.write(type, value));
  }
}

/** The server returned this error. */
export class RpcError extends Error {
  override name = "RpcError";
}

/** The client side of a connection, for one call. */
export class RpcClient {
  readonly #reader = new GobReader();
  readonly #opening = new Opening();
  #header: GobStruct | undefined;

  /** The bytes to send first. */
  readonly greeting = greeting;

  /** Reports whether the server is ready for the request. @throws GobError it is not a server of this protocol */
  isWelcome(bytes: Uint8Array): boolean {
    const opened = this.#opening.receive(bytes);
    if (opened === undefined) return false;
    if (!/^HTTP\/1\.[01] 200 Connected to Go RPC$/.test(opened.line))
      throw new GobError(`it answered ${JSON.stringify(opened.line.slice(0, 80))}`);
    this.#reader.push(opened.rest);
    return true;
  }

  request(method: string, type: StructType, args: GobStruct): Uint8Array {
    const writer = new GobWriter();
    return joined(writer.write(requestHeader, { ServiceMethod: method, Seq: 0 }), writer.write(type, args));
  }

  /** Returns the reply; undefined: it is not complete yet. @throws RpcError: the server returned an error. GobError */
  receive(bytes: Uint8Array): GobStruct | undefined {
    this.#reader.push(bytes);
    this.#header ??= this.#reader.next();
    if (this.#header === undefined) return undefined;
    const { Error: refusal } = this.#header;
    if (typeof refusal === "string" && refusal !== "") throw new RpcError(refusal);
    return this.#reader.next();
  }
}

/** Splits off the HTTP header before the stream: its first line, and the bytes after the empty line. */
class Opening {
  #bytes = new Uint8Array(0);
  #line: string | undefined;

  receive(bytes: Uint8Array): { line: string; rest: Uint8Array; isFirst: boolean } | undefined {
    if (this.#line !== undefined) return { line: this.#line, rest: bytes, isFirst: false };
    this.#bytes = joined(this.#bytes, bytes);
    const text = Array.from(this.#bytes, (byte) => String.fromCharCode(byte)).join("");
    const end = /\r?\n\r?\n/.exec(text);
    if (end === null) {
      if (this.#bytes.length > LONGEST_GREETING) throw new GobError("no HTTP");
      return undefined;
    }
    this.#line = decode(this.#bytes, 0, text.search(/\r?\n/));
    return { line: this.#line, rest: this.#bytes.slice(end.index + end[0].length), isFirst: true };
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
