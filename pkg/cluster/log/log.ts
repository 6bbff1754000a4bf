/** The daemon's log, one line per event. */

export type Level = "debug" | "info" | "warn" | "error";
/** Named values of an event, for scripts that read the log. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

export interface LogOptions {
  /** "text": klog's format, in local time; "json": one object per line. */
  format: "text" | "json";
  /** The lowest level that is logged. */
  level: Level;
  /** Writes a line, which ends with a newline. */
  write(line: string): void;
  /** Returns milliseconds since 1970, with fractions; default: the system's clock. */
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

/** Makes a log whose four methods call one function. */
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

/** Prints a JSON line. Our own keys come first, and an event's fields cannot replace them. */
function printJson({ level, message, fields, ms }: Line): string {
  const own = { time: new Date(ms).toISOString(), level, msg: withoutSecrets(message) };
  return JSON.stringify({ ...own, ...Object.fromEntries(said(fields)), ...own });
}

/** Prints `I1121 04:20:00.123456 flanneld] message key=value`; klog has thread and source line where we have the program's name. */
function printText({ level, message, fields, ms }: Line): string {
  const values = said(fields).map(([key, value]) => ` ${key}=${quoted(String(value))}`);
  return `${initials[level]}${klogTime(ms)} flanneld] ${oneLine(withoutSecrets(message))}${values.join("")}`;
}

const initials: Record<Level, string> = { debug: "D", info: "I", warn: "W", error: "E" };

/** Formats a time as klog: `1121 04:20:00.123456`. */
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

/** Hides passwords in URLs. */
const withoutSecrets = (text: string): string => text.replace(/(:\/\/[^\s/:@]*):[^\s/@]+@/g, `$1:${hidden}@`);

const quoted = (value: string): string => (/^[^\s"=\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value));

/** Escapes newlines and other control characters as JSON does, so that foreign text cannot look like a line of this log. */
const oneLine = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
