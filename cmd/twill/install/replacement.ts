/**
 * Puts programs and texts into directories: all of them, or, when a step fails, none. Whatever can fail for lack of space or permission (the copies, and
 * a call of each new program) is done beside the old files; only then is each name replaced, in one step.
 */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import { versionsOf } from "../../../pkg/runtime/plugin-info.ts";
import { copyContent, copyEntry } from "../../../pkg/sys/copy.ts";
import { isErrno, SystemError } from "../../../pkg/sys/errno.ts";
import {
  directoryOf,
  findStat,
  linkFile,
  makeDirectories,
  removeDirectory,
  removeFile,
  rename,
  syncFile,
  writeFile,
} from "../../../pkg/sys/file.ts";
import { run } from "../../../pkg/sys/process.ts";
import { randomHex } from "../../../pkg/sys/random.ts";
import { decode, encode } from "../../../pkg/sys/text.ts";
import type { Origin } from "./origin.ts";
import { type InstalledFile, type InstallRecord, keptPath, keptRoot, stateDirectory, writeRecord } from "./record.ts";
import { isEmptyFolder, removeTree } from "./tree.ts";

export interface PlannedFile {
  path: string;
  program: string;
  isPlugin: boolean;
  /** The content of a text; programs are this executable. */
  text?: string;
  /** What is there now. */
  before: Origin;
}

export interface PlannedDirectory {
  path: string;
  files: readonly PlannedFile[];
}

const executable = "/proc/self/exe";

/** Replaces all files, and records it. @throws CniError: nothing is changed */
export function replaceAll(planned: readonly PlannedDirectory[], record: InstallRecord): void {
  const undos: (() => void)[] = [];
  try {
    const staging = planned.map((directory) => ({ directory, folder: `${directory.path}/.twill-${randomHex(4)}.new` }));
    const directories = [
      ...new Set([...record.directories, ...planned.flatMap(({ path }) => missingDirectories(path))]),
    ];
    const folders = [...record.staging, ...staging.map(({ folder }) => folder)];
    undos.push(() => removeTree(keptRoot, isEmptyFolder));
    undos.push(() => writeRecord(record));
    inWords(stateDirectory, () => writeRecord({ ...record, directories, staging: folders }));
    for (const { path } of planned) createDirectories(path, undos);
    for (const one of staging) stage(one, undos);
    for (const { files } of planned) for (const file of files) keep(file, undos);
    const next = { files: recordedFiles(record, staging), directories, staging: folders };
    inWords(stateDirectory, () => writeRecord(next));
    for (const one of staging) exchange(one, undos);
    for (const folder of folders) removeTree(folder);
    writeRecord({ ...next, staging: [] });
  } catch (error) {
    for (const undo of undos.reverse()) attempt(undo);
    throw error;
  }
  for (const { path, files } of planned) {
    for (const file of files) removeFile(`${keptPath(file.path)}.before`); // what only a step back would have needed
    syncFile(path);
  }
}

/** A step back that fails must not prevent the others. */
function attempt(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

/** Returns the directory and those above it that do not exist, parents first. */
function missingDirectories(path: string): string[] {
  const missing: string[] = [];
  for (let at = path; findStat(at) === undefined; at = directoryOf(at)) missing.unshift(at);
  return missing;
}

function createDirectories(path: string, undos: (() => void)[]): void {
  const missing = missingDirectories(path);
  undos.push(() => {
    for (const directory of missing.toReversed()) removeDirectory(directory);
  });
  if (missing.length > 0) inWords(path, () => makeDirectories(path, 0o755));
}

interface Staged {
  folder: string;
  directory: PlannedDirectory;
}

/** Makes the new files in a folder inside the directory, as hard links to one copy, and starts each. Runtimes start files, no folders. */
function stage({ folder, directory }: Staged, undos: (() => void)[]): void {
  undos.push(() => removeTree(folder));
  inWords(directory.path, () => {
    makeDirectories(folder, 0o755);
    let first: string | undefined;
    for (const { program, text } of directory.files) {
      const path = `${folder}/${program}`;
      if (text !== undefined) {
        writeFile(path, text, { mode: 0o644 });
        continue;
      }
      if (first === undefined) copyContent(executable, path, 0o755);
      else linkFile(first, path);
      first ??= path;
    }
  });
  for (const file of directory.files) verify(folder, file);
}

/** Starts a new program where it will be. @throws CniError: it does not run there */
function verify(folder: string, { program, isPlugin, text }: PlannedFile): void {
  if (text !== undefined) return;
  const path = `${folder}/${program}`;
  try {
    if (isPlugin)
      versionsOf({ name: program, path }, {}); // none of this process's own: it is to run there
    else if (!saysHowItIsUsed(path)) throw doesNotRun(path);
  } catch (error) {
    throw isErrno(error, "EACCES") || error instanceof CniError ? doesNotRun(path, error) : error;
  }
}

/** mk-docker-opts knows no --help: it prints the same and fails. */
function saysHowItIsUsed(path: string): boolean {
  const { stdout } = run({ path, args: ["--help"], environment: {}, stdin: encode(""), takesStderr: true });
  return decode(stdout).includes(nameOf(path));
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1).replace(/\.sh$/, "");

function doesNotRun(path: string, cause?: unknown): CniError {
  const directory = directoryOf(directoryOf(path));
  return new CniError({
    code: ErrorCode.io,
    msg: `programs do not run in ${directory}`,
    details: cause instanceof CniError ? cause.msg : undefined,
    remedy: `mount the file system of ${directory} without noexec, or choose another directory with --plugin-dir or --tool-dir`,
    cause,
  });
}

/** Copies what is not ours; the copy of an earlier installation stays until the new one is complete. */
function keep({ path, before }: PlannedFile, undos: (() => void)[]): void {
  if (before.whose !== "foreign") return;
  const kept = keptPath(path);
  const [next, last] = [`${kept}.new`, `${kept}.before`];
  inWords(directoryOf(kept), () => {
    makeDirectories(directoryOf(kept), 0o755);
    removeFile(next); // of one that was killed
    undos.push(() => removeFile(next));
    copyEntry(path, next);
    const hadOne = findStat(kept, "link") !== undefined;
    if (hadOne) rename(kept, last);
    undos.push(() => (hadOne ? rename(last, kept) : removeFile(kept)));
    rename(next, kept);
  });
}

/** Returns the files of this installation, and those of earlier ones in other places. */
function recordedFiles(record: InstallRecord, staged: readonly Staged[]): InstalledFile[] {
  const files = staged.flatMap(({ folder, directory }) => {
    return directory.files.map(({ path, program, isPlugin, before }): InstalledFile => {
      const stat = findStat(`${folder}/${program}`);
      const earlier = record.files.find((file) => file.path === path)?.kept;
      const kept = before.whose === "foreign" ? keptPath(path) : before.whose === "ours" ? earlier : undefined;
      return { path, program, isPlugin, kept, size: stat?.size ?? 0, modifiedNs: stat?.modifiedNs ?? 0n };
    });
  });
  return [...record.files.filter(({ path }) => !files.some((file) => file.path === path)), ...files];
}

function exchange({ folder, directory }: Staged, undos: (() => void)[]): void {
  for (const { path, program } of directory.files) {
    const old = `${folder}/${program}.old`;
    inWords(directory.path, () => {
      const isThere = findStat(path, "link") !== undefined;
      if (isThere) linkFile(path, old);
      undos.push(() => (isThere ? rename(old, path) : removeFile(path)));
      rename(`${folder}/${program}`, path);
    });
  }
}

/** Runs `work`; what the kernel refuses is told with the directory and what to do. */
export function inWords<T>(directory: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw refusal(directory, error);
  }
}

function refusal(directory: string, error: SystemError): CniError {
  const details = `${error.message}; nothing was changed`;
  const told = (msg: string, remedy: string) =>
    new CniError({ code: ErrorCode.io, msg, details, remedy, cause: error });
  const elsewhere = "or choose another directory with --plugin-dir or --tool-dir";
  switch (error.code) {
    case "EROFS":
      return told(`${directory} is on a read-only file system`, `mount it writable for this command, ${elsewhere}`);
    case "ENOSPC":
    case "EDQUOT":
      return told(`there is no room for the files in ${directory}`, `free 20 MB there, ${elsewhere}`);
    case "EACCES":
    case "EPERM":
      return told(
        `${directory} cannot be written`,
        "run this command as root, and look for the immutable flag: lsattr -d",
      );
    case "EBUSY":
    case "EXDEV":
      return told(`a file in ${directory} is a mount point`, `unmount it, ${elsewhere}`);
    case "ENOTDIR":
    case "EEXIST":
      return told(`${directory} is not a directory`, "remove the file that is in the way, or choose another directory");
    default:
      return told(`the files in ${directory} cannot be replaced`, "see what the kernel refused, and report it");
  }
}
