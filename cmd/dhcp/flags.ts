/** Reads the daemon's command line as Go's package flag does. Pure. */
import { DEFAULT_SOCKET } from "./netconf.ts";

export interface Flags {
  pidFile: string;
  /** Where the host's root is mounted: a prefix of the socket's path and of all namespace paths. */
  hostPrefix: string;
  socketPath: string;
  /** Whether servers must broadcast answers. */
  broadcast: boolean;
  /** How long a request for an offered address is repeated. */
  timeoutMs: number;
  /** The longest pause between two discoveries. */
  longestPauseMs: number;
  /** How long the client tries to get an address. */
  giveUpMs: number;
}

const SECOND = 1000;

/** Name of the flag, the field that it sets, its default and its description. */
const flags = [
  ["pidfile", "pidFile", "", "file that the process ID is written to"],
  ["hostprefix", "hostPrefix", "", "path at which the host's root is mounted"],
  ["socketpath", "socketPath", DEFAULT_SOCKET, "socket to listen on; not used when systemd passes a socket"],
  ["broadcast", "broadcast", false, "request that servers broadcast their replies"],
  ["timeout", "timeoutMs", 10 * SECOND, "how long an offered address is requested, as 10s"],
  ["resendmax", "longestPauseMs", 62 * SECOND, "longest pause between two attempts"],
  ["resendtimeout", "giveUpMs", 208 * SECOND, "how long the search for an address lasts"],
] as const satisfies readonly (readonly [string, keyof Flags, string | boolean | number, string])[];

/** The command line is invalid, or requests the usage text. */
export class WrongUsage extends Error {
  override name = "WrongUsage";
}

export const usage = `Usage: dhcp daemon [FLAG...]

Acquires leases from DHCP servers for the plugin of the same name, and renews them.

${flags.map(([name, , value, what]) => `  -${name}${typeof value === "boolean" ? "" : typeof value === "number" ? " DURATION" : " TEXT"}`.padEnd(26) + what + shown(value)).join("\n")}
`;

function shown(value: string | boolean | number): string {
  if (typeof value === "number") return ` (${value / SECOND}s)`;
  return value === "" || value === false ? "" : ` (${value})`;
}

/** @throws WrongUsage */
export function readFlags(args: readonly string[]): Flags {
  const given: Record<string, string | boolean | number> = {};
  for (const [, key, value] of flags) given[key] = value;
  const rest = [...args];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name = "", , value] = /^--?([a-z]+)(=(.*))?$/s.exec(word) ?? [];
    if (name === "h" || name === "help") throw new WrongUsage("");
    const flag = flags.find(([known]) => known === name);
    if (flag === undefined) throw new WrongUsage(`flag provided but not defined: ${word}`);
    const [, key, standard] = flag;
    given[key] =
      typeof standard === "boolean" ? isTrue(name, value ?? "true") : textOrDuration(flag, value ?? rest.shift());
  }
  return refuseRelative(given as unknown as Flags);
}

function textOrDuration([name, , standard]: (typeof flags)[number], value: string | undefined): string | number {
  if (value === undefined) throw new WrongUsage(`flag needs an argument: -${name}`);
  if (typeof standard !== "number") return value === "" ? String(standard) : value;
  const ms = parseDuration(value);
  if (ms !== undefined && ms > 0) return ms;
  throw new WrongUsage(`invalid value ${JSON.stringify(value)} for flag -${name}: must be a duration, as 10s or 1m30s`);
}

function isTrue(name: string, value: string): boolean {
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw new WrongUsage(`invalid boolean value ${JSON.stringify(value)} for -${name}: must be true or false`);
}

function refuseRelative(given: Flags): Flags {
  if (given.pidFile === "" || given.pidFile.startsWith("/")) return given;
  throw new WrongUsage(`Error writing pidfile ${JSON.stringify(given.pidFile)}: path not absolute`);
}

const units: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 };

/** Converts "1m30s" to milliseconds, as Go's time.ParseDuration; undefined: it is invalid. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/g;
  if (text === "" || text.replaceAll(part, "") !== "") return undefined;
  return [...text.matchAll(part)].reduce((sum, [, count, unit = ""]) => sum + Number(count) * (units[unit] ?? 0), 0);
}
