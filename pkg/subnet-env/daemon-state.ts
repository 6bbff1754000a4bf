/**
 * What the daemon says of itself beside its subnet file: in a file of JSON, which outlives it, and on a socket, while it runs.
 * The CNI plugin quotes the file to those who wait for their containers.
 */
import { objectIn } from "../config/json.ts";
import { directoryOf, findText, makeDirectories, replaceFile } from "../sys/file.ts";

export interface DaemonState {
  pid: number;
  /** When this state began, as "2026-01-31T12:00:00.000Z". */
  since: string;
  /** "waiting": no subnet yet. "lost": it had one, and somebody else has it now, or nobody knows. */
  state: (typeof states)[number];
  /** One sentence without full stop, for people: what it waits for, what happened. */
  reason: string;
}

const states = ["waiting", "ready", "lost"] as const;

/** `/run/flannel/subnet.env` -> `/run/flannel/subnet.state` */
export const stateFileOf = (subnetFile: string): string => beside(subnetFile, ".state");

/** `/run/flannel/subnet.env` -> `/run/flannel/subnet.sock` */
export const socketOf = (subnetFile: string): string => beside(subnetFile, ".sock");

const beside = (subnetFile: string, ending: string): string => subnetFile.replace(/(\.env)?$/, ending);

export function writeDaemonState(subnetFile: string, state: DaemonState): void {
  const path = stateFileOf(subnetFile);
  makeDirectories(directoryOf(path), 0o755);
  replaceFile(path, `${JSON.stringify(state)}\n`, { mode: 0o644, ignoreUmask: true });
}

/**
 * @returns undefined: there is none, or nothing that can be understood
 * @throws SystemError: it cannot be read
 */
export function readDaemonState(subnetFile: string): DaemonState | undefined {
  return parseDaemonState(findText(stateFileOf(subnetFile)) ?? "");
}

export function parseDaemonState(text: string): DaemonState | undefined {
  const { pid, since, state, reason } = objectIn(text) ?? {};
  const known = states.find((name) => name === state);
  if (typeof pid !== "number" || typeof since !== "string" || known === undefined || typeof reason !== "string")
    return undefined;
  return { pid, since, state: known, reason };
}
