/**
 * The record of what `twill install` has put on this node, for `twill uninstall` and `twill status`; and the copies of what it
 * replaced, each below `keptRoot` under its own path, so that they can be found without the record.
 */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import { isObject, type Json, parseJson, printJson } from "../../../pkg/config/json.ts";
import { isErrno } from "../../../pkg/sys/errno.ts";
import {
  findDirectory,
  findStat,
  findText,
  removeFile,
  replaceFile,
  withDirectoryLock,
} from "../../../pkg/sys/file.ts";

export const stateDirectory = "/var/lib/twill";
export const recordFile = `${stateDirectory}/install.json`;
export const keptRoot = `${stateDirectory}/replaced`;

export interface InstalledFile {
  path: string;
  /** The program by whose name it is called. */
  program: string;
  isPlugin: boolean;
  /** Path of the copy of what was there before. */
  kept: string | undefined;
  /** By these it is seen whether the file is still the one that was installed. */
  size: number;
  modifiedNs: bigint;
}

export interface InstallRecord {
  files: readonly InstalledFile[];
  /** Directories that were created, parents first. */
  directories: readonly string[];
  /** Folders of an installation that is going on, or was killed. */
  staging: readonly string[];
}

export const nothingInstalled: InstallRecord = { files: [], directories: [], staging: [] };

/** Returns the path of the copy of a file that is replaced. */
export const keptPath = (path: string): string => `${keptRoot}${path}`;

/** @throws CniError 6: it is damaged */
export function readRecord(): InstallRecord {
  const text = findText(recordFile);
  if (text === undefined) return nothingInstalled;
  const record = parsed(text);
  if (record !== undefined) return record;
  throw new CniError({
    code: ErrorCode.decoding,
    msg: `${recordFile} is damaged`,
    remedy: `move it away and run twill install again; what was replaced before is below ${keptRoot}, under its own path`,
  });
}

function parsed(text: string): InstallRecord | undefined {
  try {
    const document = parseJson(text);
    if (!isObject(document)) return undefined;
    const { files, directories, staging } = document;
    if (!Array.isArray(files) || !isTexts(directories) || !isTexts(staging)) return undefined;
    const all = files.map(fileOf);
    return all.every((file) => file !== undefined) ? { files: all, directories, staging } : undefined;
  } catch {
    return undefined; // not JSON: the caller tells it
  }
}

const isTexts = (value: Json | undefined): value is string[] =>
  Array.isArray(value) && value.every((text) => typeof text === "string");

function fileOf(value: Json): InstalledFile | undefined {
  if (!isObject(value)) return undefined;
  const { path, program, isPlugin, kept, size, modifiedNs } = value;
  const isComplete =
    typeof path === "string" &&
    typeof program === "string" &&
    typeof isPlugin === "boolean" &&
    typeof size === "number" &&
    typeof modifiedNs === "string" &&
    /^\d+$/.test(modifiedNs);
  if (!isComplete || (kept !== null && typeof kept !== "string")) return undefined;
  return { path, program, isPlugin, kept: kept ?? undefined, size, modifiedNs: BigInt(modifiedNs) };
}

/** Writes the record, or removes it when there is nothing to record. */
export function writeRecord({ files, directories, staging }: InstallRecord): void {
  if (files.length + directories.length + staging.length === 0) {
    removeFile(recordFile);
    return;
  }
  const document = {
    files: files.map(({ kept, modifiedNs, ...file }) => ({
      ...file,
      kept: kept ?? null,
      modifiedNs: String(modifiedNs),
    })),
    directories: [...directories],
    staging: [...staging],
  };
  replaceFile(recordFile, `${printJson(document, "    ")}\n`, { mode: 0o644 });
}

/** Whether the file is the one that was installed, and nobody has replaced it. */
export function isAsInstalled({ path, size, modifiedNs }: InstalledFile): boolean {
  const stat = findStat(path, "link");
  return stat?.type === "file" && stat.size === size && stat.modifiedNs === modifiedNs;
}

/** Runs `work` while no other install or uninstall runs. @throws CniError 11: another one does */
export function alone<T>(work: () => T): T {
  try {
    return withDirectoryLock(stateDirectory, { mode: 0o755, timeoutMs: LONGEST_INSTALL_MS }, () => {
      removeHalfWritten();
      return work();
    });
  } catch (error) {
    if (!isErrno(error, "EAGAIN")) throw error;
    const remedy = "wait for its end, then run this again";
    const msg = "another twill install or uninstall is running";
    throw new CniError({ code: ErrorCode.tryAgainLater, msg, remedy, cause: error });
  }
}
const LONGEST_INSTALL_MS = 20_000;

/** Removes the file that `replaceFile` was writing when it was killed. */
function removeHalfWritten(): void {
  for (const name of findDirectory(stateDirectory) ?? [])
    if (/^install\.json\.\w+\.tmp$/.test(name)) removeFile(`${stateDirectory}/${name}`);
}
