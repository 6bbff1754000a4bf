/**
 * What `twill run` has started: a directory for each command, `/run/twill/run/NAME`, with its record and the files that it sees as
 * /etc/hosts, /etc/hostname and /etc/resolv.conf. It is there as long as the process of `twill run`.
 */
import { isObject, objectIn } from "../config/json.ts";
import {
  findDirectory,
  findText,
  makeDirectories,
  readRecord,
  removeDirectory,
  removeFile,
  writeFile,
} from "../sys/file.ts";
import { isPublishedPort, type PublishedPort } from "./published-port.ts";

export const runRoot = "/run/twill/run";

export interface RunRecord {
  /** 64 hexadecimal digits, the CNI container ID. */
  id: string;
  name: string;
  hostName: string;
  /** The process of `twill run`, and when it was started, in the kernel's ticks since the boot: a process ID is given out again. */
  process: string;
  started: string;
  /** The path of its network namespace. */
  netns: string;
  /** The directory that has its files below `etc`: its own, or that of the command whose network it shares. */
  files: string;
  /** Ports that it serves, as "80/tcp". */
  exposed: readonly string[];
  /** Ports of the host that lead to it, through whichever of its networks has the default route. */
  published: readonly PublishedPort[];
}

/** Below `etc` of the directory. */
export const fileNames = ["hostname", "hosts", "resolv.conf"] as const;
export type RunFiles = Readonly<Record<(typeof fileNames)[number], string>>;

export const runDirectory = (name: string): string => `${runRoot}/${name}`;
const recordIn = (directory: string): string => `${directory}/container.json`;

/** Writes the files of a command. */
export function writeRunFiles(name: string, files: RunFiles): void {
  const etc = `${runDirectory(name)}/etc`;
  makeDirectories(etc, 0o755);
  for (const file of fileNames) writeFile(`${etc}/${file}`, files[file], { mode: 0o644 });
}

/** Writes the record, by which the command is found. */
export function writeRun(record: RunRecord): void {
  makeDirectories(runDirectory(record.name), 0o755);
  writeFile(recordIn(runDirectory(record.name)), `${JSON.stringify(record)}\n`, { mode: 0o644 });
}

/** Lists the commands that run. */
export const listRuns = (root = runRoot): RunRecord[] =>
  (findDirectory(root) ?? []).flatMap((name) => {
    const record = readRun(`${root}/${name}`);
    return record !== undefined && isRunning(record) ? [record] : [];
  });

/** Removes what belongs to commands that have ended, or were never begun; nobody begins one meanwhile. */
export function removeEndedRuns(): void {
  const living = new Set(listRuns().map(({ name }) => name));
  for (const name of findDirectory(runRoot) ?? []) if (!living.has(name)) removeRun(name);
}

/** Removes the files of a command. */
export function removeRun(name: string): void {
  const directory = runDirectory(name);
  for (const file of [...fileNames.map((file) => `${directory}/etc/${file}`), recordIn(directory)]) removeFile(file);
  for (const one of [`${directory}/etc`, directory]) if (findDirectory(one)?.length === 0) removeDirectory(one);
}

function readRun(directory: string): RunRecord | undefined {
  const text = readRecord(recordIn(directory));
  const record = typeof text === "string" ? objectIn(text) : undefined;
  if (!isObject(record)) return undefined;
  const texts = ["id", "name", "hostName", "process", "started", "netns", "files"];
  const isWhole =
    texts.every((key) => typeof record[key] === "string") &&
    Array.isArray(record["exposed"]) &&
    record["exposed"].every((port) => typeof port === "string");
  const { published = [] } = record; // an earlier build had none
  if (!isWhole || !Array.isArray(published) || !published.every(isPublishedPort)) return undefined;
  return { ...record, published } as unknown as RunRecord; // every key of it was checked
}

const isRunning = ({ process, started }: RunRecord): boolean => startOf(process) === started;

/** Returns when a process was started, undefined when there is none. proc_pid_stat(5): the 22nd word; the second may have blanks. */
export function startOf(process: string): string | undefined {
  const stat = findText(`/proc/${process}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
}
