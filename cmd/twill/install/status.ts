/** `twill status`: whose plugins the runtimes of this node call, and whether what `twill install` has put there is still there. */
import type { Command } from "../../../pkg/command-line/command.ts";
import { jsonFlag } from "../../../pkg/command-line/command.ts";
import { oneLine, printable, printed } from "../../../pkg/command-line/table.ts";
import { installedRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";
import { directoryOf, findStat } from "../../../pkg/sys/file.ts";
import { type Called, type CalledPlugin, calledBy } from "./called-plugins.ts";
import { describe, originOf, type Self } from "./origin.ts";
import { type InstalledFile, isAsInstalled, readRecord } from "./record.ts";
import { installCommandFor, textFlagOf } from "./text-flag.ts";

export const status: Command = {
  name: "status",
  operands: "",
  required: 0,
  most: 0,
  about: "show whose plugins this node's container runtimes call, and whether an installation is as it was made",
  details: [
    "For each runtime: the directory from which it takes its plugins, and how many of twill's names are twill's there. Files that",
    "were installed and are others' now, as after the upgrade of a package, are named. The exit status is 1 when a runtime does",
    "not call twill's plugins, or an installed file has changed.",
  ].join("\n"),
  flags: [jsonFlag],
  examples: ["twill status", "twill status --json"],
  run({ flags, context }) {
    const { runtimes, problems } = installedRuntimes();
    const called = runtimes.map((runtime) => calledBy(runtime, context));
    const changed = changedFiles(context);
    const { stdout, stderr } = context.streams;
    for (const problem of problems) stderr(`twill status: ${problem}\n`);
    const records = changed.map(({ path, now }) => ({ path, now }));
    if (flags.has("json"))
      stdout(printed({ version: context.version, runtimes: called.map(asJson), changed: records }));
    else stdout([...called.flatMap(linesFor), ...changed.map(changeLine), ...advice(called, changed)].join(""));
    return called.every(callsOurs) && changed.length === 0 && problems.length === 0 ? 0 : 1;
  },
};

const isOurs = ({ origin }: CalledPlugin): boolean => origin.whose === "ours";
const callsOurs = ({ plugins }: Called): boolean => plugins.every(isOurs);

function linesFor({ runtime, plugins }: Called): string[] {
  const { name, unused, source } = runtime;
  if (unused !== undefined) return [`${name}: ${unused}\n`];
  const ours = plugins.filter(isOurs);
  const folders = [...new Set(ours.flatMap(({ path }) => (path === undefined ? [] : printable(directoryOf(path)))))];
  const versions = [...new Set(ours.map(({ origin }) => describe(origin)))].join(", ");
  const what = ours.length === 0 ? "none" : `${versions} in ${folders.join(", ")}`;
  return [
    `${name}: ${ours.length} of ${plugins.length} plugins are twill's: ${what} (${source})\n`,
    ...othersIn(plugins).map((line) => `  ${line}\n`),
  ];
}

/** Lists plugins that are not ours, those of one directory and origin together. */
function othersIn(plugins: readonly CalledPlugin[]): string[] {
  const groups = new Map<string, string[]>();
  for (const { type, path, origin } of plugins) {
    if (origin.whose === "ours") continue;
    const what =
      path === undefined
        ? "absent"
        : `in ${printable(directoryOf(path))}: ${oneLine(describe(origin).replace(` ${type} `, " … "))}`;
    groups.set(what, [...(groups.get(what) ?? []), type]);
  }
  return [...groups].map(([what, types]) => `${types.join(", ")} ${what}`);
}

export interface Changed {
  path: string;
  isPlugin: boolean;
  now: string;
}

/** Returns the installed files that something else has replaced or removed, and texts that are gone. @throws CniError 6: the record is damaged */
export function changedFiles(self: Self): Changed[] {
  return readRecord()
    .files.filter((file) => !isAsInstalled(file) && !isEdited(file))
    .map((file) => ({ path: file.path, isPlugin: file.isPlugin, now: nowOf(file, self) }));
}

/** Reports whether it is a text that is there: an administrator may change units and completions. */
const isEdited = (file: InstalledFile): boolean =>
  textFlagOf(file) !== undefined && findStat(file.path, "link") !== undefined;

function nowOf({ path, program, isPlugin }: InstalledFile, self: Self): string {
  if (findStat(path, "link") === undefined) return "absent";
  return isPlugin ? describe(originOf(directoryOf(path), program, self)) : "another file";
}

const changeLine = ({ path, now }: Changed): string =>
  `${printable(path)} was installed, and is now: ${oneLine(now)}\n`;

function advice(called: readonly Called[], changed: readonly Changed[]): string[] {
  if (called.length === 0) return ["no container runtime was found on this node\n"];
  if (called.every(callsOurs) && changed.length === 0) return [];
  const why = changed.length === 0 ? "" : ", as after the upgrade of a package";
  return [`To fix: ${installCommandFor(changed)}${why}\n`];
}

function asJson({ runtime, plugins }: Called): unknown {
  return {
    ...runtime,
    plugins: plugins.map(({ type, path, origin }) => ({ type, path, origin: origin.whose, about: describe(origin) })),
  };
}
