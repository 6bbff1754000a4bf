/** What the daemon says of its work, a line per event. */

export type Level = "debug" | "info" | "warn" | "error";
/** Named values of an event: what a script looks for. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

export interface LogOptions {
  /** "text": as klog, in local time; "json": an object per line. */
  format: "text" | "json";
  /** What is less than this is not said. */
  level: Level;
  /** Takes a line with its end. */
  write(line: string): void;
  /** Milliseconds since 1970, with fractions; the system's clock unless given. */
  nowMs?: () => number;
}

export function createLog({ format, level, write, nowMs = Date.now }: LogOptions): Log {
  const print = format === "json" ? printJson : printText;
  const least = levels.indexOf(level);
  return logOf((level, message, fields) => {
    if (levels.indexOf(level) >= least) write(`${print({ level, message, fields, ms: nowMs() })}\n`);
  });
}

const levels: readonly Level[] = ["debug", "info", "warn", "error"];

/** A log whose four verbs are one function. */
export function logOf(say: (level: Level, message: string, fields: Fields) => void): Log {
  const verb =
    (level: Level) =>
    (message: string, fields: Fields = {}) =>
      say(level, message, fields);
  return { debug: verb("debug"), info: verb("info"), warn: verb("warn"), error: verb("error") };
}

interface Line {
  level: Level;
  message: string;
  fields: Fields;
  ms: number;
}

/** Our own keys come first, and an event's fields cannot take their place. */
function printJson({ level, message, fields, ms }: Line): string {
  const own = { time: new Date(ms).toISOString(), level, msg: withoutSecrets(message) };
  return JSON.stringify({ ...own, ...Object.fromEntries(said(fields)), ...own });
}

/** `I1121 04:20:00.123456 flanneld] message key=value`; klog has the thread and the source line before the bracket. */
function printText({ level, message, fields, ms }: Line): string {
  const values = said(fields).map(([key, value]) => ` ${key}=${quoted(String(value))}`);
  return `${initials[level]}${klogTime(ms)} flanneld] ${oneLine(withoutSecrets(message))}${values.join("")}`;
}

const initials: Record<Level, string> = { debug: "D", info: "I", warn: "W", error: "E" };

/** `1121 04:20:00.123456` */
function klogTime(ms: number): string {
  const date = new Date(ms);
  const two = (value: number) => String(value).padStart(2, "0");
  const microseconds = String(Math.floor((ms - Math.floor(ms / 1000) * 1000) * 1000)).padStart(6, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${two(date.getMonth() + 1)}${two(date.getDate())} ${clock}.${microseconds}`;
}

function said(fields: Fields): [string, string | number | boolean][] {
  return Object.entries(fields).flatMap(([key, value]) => {
    if (value === undefined) return [];
    if (secretName.test(key) && value !== "") return [[key, hidden]];
    return [[key, typeof value === "string" ? withoutSecrets(value) : value]];
  });
}

const hidden = "(hidden)";
const secretName = /password|passwd|secret|token/i;

/** What URLs carry between user and host. */
const withoutSecrets = (text: string): string => text.replace(/(:\/\/[^\s/:@]*):[^\s/@]+@/g, `$1:${hidden}@`);

const quoted = (value: string): string => (/^[^\s"=\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value));

/** Newlines and other control characters as JSON writes them, so that nobody's text can look like a line of ours. */
const oneLine = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
