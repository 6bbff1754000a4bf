/** `twill uninstall`: puts back what `twill install` has replaced, byte for byte, and removes what it has added. */
import { CniError, ErrorCode, failureOf } from "../../../pkg/cni/error.ts";
import type { Call, Command } from "../../../pkg/command-line/command.ts";
import { printable } from "../../../pkg/command-line/table.ts";
import { copyEntry } from "../../../pkg/sys/copy.ts";
import { isErrno } from "../../../pkg/sys/errno.ts";
import { directoryOf, findDirectory, findStat, removeDirectory, removeFile, rename } from "../../../pkg/sys/file.ts";
import { randomHex } from "../../../pkg/sys/random.ts";
import { originOf, type Self } from "./origin.ts";
import { purge } from "./purge.ts";
import {
  alone,
  type InstalledFile,
  type InstallRecord,
  isAsInstalled,
  keptRoot,
  nothingInstalled,
  readRecord,
  stateDirectory,
  writeRecord,
} from "./record.ts";
import { inWords } from "./replacement.ts";
import { isEmptyFolder, removeTree } from "./tree.ts";

export const uninstall: Command = {
  name: "uninstall",
  operands: "",
  required: 0,
  most: 0,
  about: "put back what twill install has replaced, and remove what it has added",
  details: [
    "A file that something else has put in the place of ours since then, as the upgrade of a package does, stays as it is.",
    "Containers keep running, with their links, rules and addresses; the plugins that come back delete them in their turn.",
    "--purge also removes what twill has made on this node: links, rules, addresses and records of attachments that have its marks,",
    "and nobody else's. It refuses while such a container runs, or may run. With --network, only that network's, and no files.",
  ].join("\n"),
  flags: [
    { name: "dry-run", about: "print each step, and change nothing" },
    { name: "purge", about: "also remove links, rules, addresses and records that have twill's marks" },
    { name: "network", value: "NAME", about: "with --purge: only of this network; the plugins stay installed" },
    { name: "force", about: "with --purge: also of containers that run, which lose their network" },
  ],
  examples: [
    "twill uninstall --dry-run",
    "twill uninstall --purge --dry-run",
    "twill uninstall --purge --network podnet",
    "twill uninstall",
  ],
  run(call) {
    const { flags, context } = call;
    const network = flags.get("network");
    if (!flags.has("purge")) {
      if (network !== undefined || flags.has("force")) throw withoutPurge();
      return uninstallFiles(call);
    }
    const isDone = purge({ network, force: flags.has("force"), isDryRun: flags.has("dry-run") }, context);
    if (network !== undefined) return isDone ? 0 : 1;
    if (isDone) return uninstallFiles(call);
    context.streams.stderr(
      "twill uninstall: the plugins stay installed: correct what is said above, and run it again; without --purge they go\n",
    );
    return 1;
  },
};

const withoutPurge = (): CniError =>
  new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: "--network and --force are about --purge, which is not given",
    remedy: "twill uninstall --purge --network NAME",
  });

function uninstallFiles(call: Call): number {
  if (call.flags.has("dry-run")) return undo(call);
  return findStat(stateDirectory) === undefined ? undo(call) : inWords(stateDirectory, () => alone(() => undo(call)));
}

function undo({ flags, context }: Call): number {
  const { stdout, stderr } = context.streams;
  const isDryRun = flags.has("dry-run");
  const record = readRecord();
  if (record === nothingInstalled) {
    if (!isDryRun) removeIfEmpty(stateDirectory);
    stdout("twill install has put nothing on this node, or it is undone already\n");
    return 0;
  }
  if (!isDryRun) {
    for (const folder of record.staging) removeTree(folder);
    removeInterruptedCopies(record);
  }
  const left: InstalledFile[] = [];
  for (const file of [...record.files].reverse()) {
    const step = stepFor(file, context);
    if (isDryRun) {
      stdout(`${step.planned}\n`);
      continue;
    }
    try {
      inWords(directoryOf(file.path), step.run);
      stdout(`${step.done}\n`);
    } catch (error) {
      stderr(`twill uninstall: ${failureOf(error).message}\n`);
      left.unshift(file);
    }
  }
  if (isDryRun) return 0;
  forget(record, left);
  return left.length === 0 ? 0 : 1;
}

interface Step {
  planned: string;
  done: string;
  run(): void;
}

function stepFor(file: InstalledFile, self: Self): Step {
  const path = printable(file.path);
  if (findStat(file.path, "link") === undefined)
    return { planned: `would leave ${path}: it is gone`, done: `left ${path}: it is gone`, run: () => undefined };
  if (!isOurs(file, self)) {
    const why = "something else has been put there since";
    return { planned: `would leave ${path}: ${why}`, done: `left ${path}: ${why}`, run: () => undefined };
  }
  const { kept } = file;
  if (kept === undefined || findStat(kept, "link") === undefined)
    return { planned: `would remove ${path}`, done: `removed ${path}`, run: () => removeFile(file.path) };
  return { planned: `would restore ${path}`, done: `restored ${path}`, run: () => restore(kept, file.path) };
}

/** Whether the file is the one that was installed, or another build's plugin. */
function isOurs(file: InstalledFile, self: Self): boolean {
  if (isAsInstalled(file)) return true;
  return file.isPlugin && originOf(directoryOf(file.path), file.program, self).whose === "ours";
}

/** Puts the copy back in one step: until then, the present file is called. */
function restore(kept: string, path: string): void {
  const folder = directoryOf(path);
  const temporary = `${folder}/.twill-${randomHex(4)}.old`;
  try {
    copyEntry(kept, temporary);
    rename(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}

/** What an uninstall that was killed was copying: runtimes like Nomad run whatever lies among plugins. */
function removeInterruptedCopies({ files }: InstallRecord): void {
  for (const folder of new Set(files.map(({ path }) => directoryOf(path))))
    for (const name of findDirectory(folder) ?? [])
      if (/^\.twill-[0-9a-f]{8}\.old$/.test(name)) inWords(folder, () => removeFile(`${folder}/${name}`));
}

/** Removes copies, directories and the record, but for those of files that could not be put back. */
function forget(record: InstallRecord, left: readonly InstalledFile[]): void {
  const needed = left.map(({ kept }) => kept);
  removeTree(keptRoot, (path) => isEmptyFolder(path) || !(isFolder(path) || needed.includes(path)));
  const directories = record.directories
    .toReversed()
    .filter((directory) => !removeIfEmpty(directory))
    .reverse();
  writeRecord({ files: left, directories: left.length === 0 ? [] : directories, staging: [] });
  removeIfEmpty(stateDirectory);
}

const isFolder = (path: string): boolean => findStat(path, "link")?.type === "directory";

/** @returns whether it is gone */
function removeIfEmpty(directory: string): boolean {
  try {
    removeDirectory(directory);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOTEMPTY", "EBUSY", "EEXIST")) return false;
    throw error;
  }
}
