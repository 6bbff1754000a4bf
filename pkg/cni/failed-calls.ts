/**
 * The failed and slow calls of this node, which `twill log` shows: a line of JSON for each in a file of bounded size. A call that is quick
 * and succeeds costs two reads of the clock, and no system call. A line that cannot be written (no permission, disk full) is lost: the
 * call's answer is the same.
 */
import { isObject, type JsonObject } from "../config/json.ts";
import { textWithoutSecrets } from "../config/secrets.ts";
import { monotonicMs, nowMs } from "../sys/clock.ts";
import { SystemError } from "../sys/errno.ts";
import { directoryOf, makeDirectories } from "../sys/file.ts";
import { appendRotated, readEnd, readRotated } from "../sys/rotated-file.ts";
import { encode } from "../sys/text.ts";

/** The usual file. TWILL_CALLS names another one, or is "off". */
export const failedCallsFile = "/var/lib/cni/twill/calls.log";

/** How many calls are shown, and kept at least. */
export const MOST_CALLS = 1000;
const LARGEST_LINE = 2048;
/** Bytes of each of the two files: the older one has MOST_CALLS lines even where each is as long as it may be. */
const LARGEST_FILE = MOST_CALLS * LARGEST_LINE;

/** From how many milliseconds on a call is slow: a Go plugin's ADD on a busy node takes 0.1 s. TWILL_SLOW_MS is another number. */
export const SLOW_MS = 1000;

/** For which time a STATUS that fails as before is not written again: runtimes ask every few seconds. */
const SAME_STATUS_MS = 600_000;
/** As many bytes at the file's end are searched for that. */
const SEARCHED_FOR_STATUS = 16 * LARGEST_LINE;

interface CallError {
  code: number;
  msg: string;
  details?: string;
}

export interface FailedCall {
  /** ISO 8601, of the end of the call. */
  time: string;
  plugin: string;
  verb: string;
  network?: string;
  container?: string;
  ifname?: string;
  /** Absent: the call was only slow. */
  error?: CallError;
  ms: number;
}

/** Reports whether a call that began then is slow by now. */
export function isSlow(startedMs: number, environment: Readonly<Record<string, string>>): boolean {
  return monotonicMs() - startedMs >= slowMs(environment["TWILL_SLOW_MS"]);
}

/** What is no number of milliseconds counts as the usual one. */
const slowMs = (text: string | undefined): number =>
  text === undefined || !/^\d+$/.test(text) ? SLOW_MS : Number(text);

/** Appends a call to the file. Never throws for what the file system says. @param file The usual one for a plugin that a runtime has called. */
export function recordCall(
  file: string,
  entry: Omit<FailedCall, "time" | "ms">,
  { startedMs, environment }: { startedMs: number; environment: Readonly<Record<string, string>> },
): void {
  const path = environment["TWILL_CALLS"] || file;
  if (path === "off") return;
  const call = { time: new Date(nowMs()).toISOString(), ...entry, ms: Math.round(monotonicMs() - startedMs) };
  try {
    makeDirectories(directoryOf(path), 0o755);
    if (call.verb === "STATUS" && isKnownStatus(call, path)) return;
    appendRotated(path, encode(lineOf(call)), { mode: 0o600, largest: LARGEST_FILE });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

function isKnownStatus(call: FailedCall, path: string): boolean {
  const since = Date.parse(call.time) - SAME_STATUS_MS;
  return parseCalls(readEnd(path, SEARCHED_FOR_STATUS) ?? "").some(
    (former) =>
      former.verb === "STATUS" &&
      former.plugin === call.plugin &&
      former.network === call.network &&
      former.error?.code === call.error?.code &&
      former.error?.msg === call.error?.msg &&
      Date.parse(former.time) > since &&
      Date.parse(former.time) <= Date.parse(call.time),
  );
}

/** Prints a call as a line that is short enough, without secrets. */
export function lineOf({ error: whole, ...call }: FailedCall): string {
  const error = whole === undefined ? undefined : errorWithoutSecrets(whole);
  for (let most = LONGEST_TEXT; ; most = Math.floor(most / 2)) {
    const told = error === undefined ? {} : { error: shortened(error, most) };
    const texts = Object.entries({ ...call, ...told }).map(([key, value]) => [
      key,
      typeof value === "string" ? cut(value, most) : value,
    ]);
    const line = `${JSON.stringify(Object.fromEntries(texts))}\n`;
    if (encode(line).length <= LARGEST_LINE) return line;
  }
}
const LONGEST_TEXT = 1200;

/** As much of a message is searched for secrets, which make it shorter: the rest is not kept. */
const LONGEST_SEARCHED = 8 * LONGEST_TEXT;

const errorWithoutSecrets = ({ code, msg, details = "" }: CallError): CallError => ({
  code,
  msg: messageWithoutSecrets(msg),
  details: messageWithoutSecrets(details),
});

const messageWithoutSecrets = (text: string): string =>
  text.length <= LONGEST_SEARCHED
    ? textWithoutSecrets(text)
    : `${textWithoutSecrets(wholeWords(text.slice(0, LONGEST_SEARCHED)))} …`;

/** Leaves out the last word of a text that was cut: a part of a secret looks like none. */
const wholeWords = (text: string): string => text.slice(0, text.lastIndexOf(" ") + 1);

const shortened = ({ code, msg, details = "" }: CallError, most: number): JsonObject => ({
  code,
  msg: cut(msg, most),
  ...(details !== "" && { details: cut(details, most) }),
});

const cut = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most)} …` : text);

/** Parses lines, the oldest first. What is no line of ours, as the beginning of one that a full disk cut off, is passed over. */
export function parseCalls(text: string): FailedCall[] {
  return text.split(/\n|(?=\{"time":)/).flatMap((line) => {
    try {
      const call = line === "" ? undefined : (JSON.parse(line) as unknown);
      return isCall(call) ? [call] : [];
    } catch {
      return [];
    }
  });
}

function isCall(value: unknown): value is FailedCall {
  if (!isObject(value)) return false;
  const { time, plugin, verb, ms, network = "", container = "", ifname = "", error = {} } = value;
  const areTexts = [time, plugin, verb, network, container, ifname].every((one) => typeof one === "string");
  if (!areTexts || typeof ms !== "number" || Number.isNaN(Date.parse(String(time)))) return false;
  if (value["error"] === undefined) return true;
  return isObject(error) && typeof error["code"] === "number" && typeof error["msg"] === "string";
}

/** Reads the last calls, the oldest first. @returns undefined: no call has failed or was slow yet. @throws SystemError the file cannot be read */
export function readFailedCalls(path: string): FailedCall[] | undefined {
  const text = readRotated(path);
  return text === undefined ? undefined : parseCalls(text).slice(-MOST_CALLS);
}
