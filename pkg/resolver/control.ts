/** The resolver's unix socket: whoever has changed the records asks it to read them, and learns what cannot be served. */
import { isObject, type Json, objectIn } from "../config/json.ts";
import { Errno, SystemError } from "../sys/errno.ts";
import { closeFile } from "../sys/file.ts";
import { waitReadable } from "../sys/poll.ts";
import { decode, encode } from "../sys/text.ts";
import { acceptConnection, connectUnix, receiveStream, sendStream } from "../sys/unix-socket.ts";
import type { EventLoop } from "./event-loop.ts";

/** What the resolver serves after it has read the records. */
export interface SyncAnswer {
  /** How many namespaces get answers. */
  namespaces: number;
  /** Sentences: which namespaces get none and why, which files are damaged. */
  problems: string[];
  /** The listen addresses that are not served, by their keys, why, and what to do, "" for nothing. Absent: the resolver is of an earlier build, which does not know `dnsname`. */
  unserved?: { key: string; problem: string; remedy: string }[];
}

const SYNC = "sync\n";
const STOP = "stop\n";
const ANSWER_MS = 5000;

export interface ControlRequests {
  sync(): SyncAnswer;
  stop(): void;
}

/** Serves the socket: each connection is one request. */
export function serveControl(listener: number, loop: EventLoop, requests: ControlRequests): void {
  loop.watch(listener, () => {
    for (let fd = acceptConnection(listener); fd !== undefined; fd = acceptConnection(listener)) {
      const connection = fd;
      loop.watch(connection, () => answerRequest(connection, loop, requests));
    }
  });
}

function answerRequest(fd: number, loop: EventLoop, { sync, stop }: ControlRequests): void {
  try {
    const request = receiveStream(fd, new Uint8Array(SYNC.length));
    if (request === undefined) return;
    const text = decode(request);
    if (text === STOP) {
      stop();
      return; // the connection is closed with the process, which its client waits for
    }
    if (text === SYNC) sendStream(fd, encode(`${JSON.stringify(sync())}\n`), "at once");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error; // the caller is gone
  }
  loop.close(fd);
}

/** Asks the resolver on that socket to read the records. @throws SystemError ENOENT, ECONNREFUSED: there is none; ETIMEDOUT, EPROTO: it gave no answer */
export function requestSync(path: string): SyncAnswer {
  const answer = answerIn(exchange(path, SYNC));
  if (answer === undefined) throw new SystemError("recvfrom", Errno.EPROTO, path);
  return answer;
}

/** Has the resolver on that socket end, and waits for it. @throws SystemError ENOENT, ECONNREFUSED: there is none; ETIMEDOUT: it goes on */
export function requestStop(path: string): void {
  exchange(path, STOP);
}

/** Sends a request, and waits until the connection is closed. @returns the answer */
function exchange(path: string, request: string): string {
  const fd = connectUnix(path);
  try {
    sendStream(fd, encode(request), "wait");
    return readToEnd(fd, path);
  } finally {
    closeFile(fd);
  }
}

function readToEnd(fd: number, path: string): string {
  const buffer = new Uint8Array(65536);
  let text = "";
  for (;;) {
    if (waitReadable([fd], ANSWER_MS).length === 0) throw new SystemError("recvfrom", Errno.ETIMEDOUT, path);
    const bytes = receiveStream(fd, buffer);
    if (bytes?.length === 0) return text;
    if (bytes !== undefined) text += decode(bytes);
  }
}

function answerIn(text: string): SyncAnswer | undefined {
  const document = objectIn(text);
  const isText = (value: Json | undefined) => typeof value === "string";
  if (!isObject(document) || typeof document["namespaces"] !== "number") return undefined;
  const { problems, unserved } = document;
  const isWhole =
    Array.isArray(problems) &&
    problems.every(isText) &&
    (unserved === undefined ||
      (Array.isArray(unserved) &&
        unserved.every((one) => isObject(one) && [one["key"], one["problem"], one["remedy"]].every(isText))));
  return isWhole ? (document as unknown as SyncAnswer) : undefined; // every key of it was checked
}
