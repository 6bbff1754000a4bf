/**
 * The daemon state beside the subnet file: a JSON file, which remains when the daemon ends, and the path of its socket.
 * The CNI plugin quotes the file in its error when there is no subnet yet.
 */
import { objectIn } from "../config/json.ts";
import { directoryOf, findText, makeDirectories, replaceFile } from "../sys/file.ts";

export interface DaemonState {
  pid: number;
  /** When this state began, as "2026-01-31T12:00:00.000Z". */
  since: string;
  /** "waiting": no subnet yet. "lost": it had one; another host has it now, or its owner is unknown. "ended": an error ended the start. */
  state: (typeof states)[number];
  /** One sentence without full stop, for messages: what it waits for, or what happened. */
  reason: string;
}

const states = ["waiting", "ready", "lost", "ended"] as const;

/** Returns the state file's path: `/run/flannel/subnet.env` -> `/run/flannel/subnet.state` */
export const stateFileOf = (subnetFile: string): string => beside(subnetFile, ".state");

/** Returns the socket's path: `/run/flannel/subnet.env` -> `/run/flannel/subnet.sock` */
export const socketOf = (subnetFile: string): string => beside(subnetFile, ".sock");

/** Returns what the paths of a daemon's own files begin with: `/run/flannel/subnet.env` -> `/run/flannel/subnet` */
export const statePathOf = (subnetFile: string): string => beside(subnetFile, "");

const beside = (subnetFile: string, ending: string): string => subnetFile.replace(/(\.env)?$/, ending);

export function writeDaemonState(subnetFile: string, state: DaemonState): void {
  const path = stateFileOf(subnetFile);
  makeDirectories(directoryOf(path), 0o755);
  replaceFile(path, `${JSON.stringify(state)}\n`, { mode: 0o644, ignoreUmask: true });
}

/**
 * @returns undefined: the file is missing or malformed
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
