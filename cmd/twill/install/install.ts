/** `twill install`: puts the plugins where the runtimes of this node look for them, and the tools where people do. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import type { ToolContext } from "../../../pkg/cni/tool.ts";
import type { Call, Command, Flags } from "../../../pkg/command-line/command.ts";
import { oneLine, printable } from "../../../pkg/command-line/table.ts";
import { type InstalledRuntimes, installedRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";
import { directoryOf, findDirectory, findStat, readLink } from "../../../pkg/sys/file.ts";
import { completionFiles } from "./completion-files.ts";
import { type Destination, destinations } from "./destination.ts";
import { describe, type Self } from "./origin.ts";
import { pluginsFor, textsFor, toolsFor } from "./plan.ts";
import { alone, keptPath, readRecord } from "./record.ts";
import { inWords, type PlannedDirectory, type PlannedFile, replaceAll } from "./replacement.ts";
import { unitDirectory, unitFiles } from "./units.ts";

const usualToolDirectory = "/usr/local/bin";

export const install = (tools: readonly string[]): Command => ({
  name: "install",
  operands: "",
  required: 0,
  most: 0,
  about:
    "put the plugins where this node's container runtimes look for them, and the tools into a directory of commands",
  details: [
    "Finds containerd, CRI-O, k3s, podman, nerdctl and Nomad, and the directory from which each takes its plugins. Plugins of",
    "others that have the same names are kept below /var/lib/twill/replaced; twill uninstall puts them back. Each file is",
    "replaced in one step, after the new one has answered VERSION: containers keep running, and runtimes need no restart.",
    "Either all files are replaced or, when a step fails, none. twill status shows what runtimes call. Units are neither enabled nor",
    "started; that of flanneld is among them where the daemon lies beside this program.",
  ].join("\n"),
  flags: [
    {
      name: "plugin-dir",
      value: "DIR[:DIR]",
      about: "directories for the plugins, instead of those that runtimes look in",
    },
    { name: "tool-dir", value: "DIR", about: `directory for ${tools.join(", ")} (${usualToolDirectory})` },
    { name: "no-tools", about: "put no tools anywhere" },
    { name: "units", about: `put the units of systemd, and the drop-ins of firewalls, into ${unitDirectory}` },
    { name: "completion", about: "put the completion for bash, zsh and fish into /usr/local/share" },
    { name: "dry-run", about: "print each step, and change nothing" },
  ],
  examples: [
    "twill install --dry-run",
    "twill install",
    "twill install --plugin-dir /opt/cni/bin --no-tools",
    "twill install --units --completion",
  ],
  run: (call) => runInstall(call, tools),
});

function runInstall({ flags, context }: Call, tools: readonly string[]): number {
  const found = installedRuntimes();
  const chosen = chosenDestinations(flags, found, context);
  const work = () => {
    const record = readRecord();
    const planned = unique([
      ...chosen.map(({ directory }) => pluginsFor(directory, context, record)),
      ...toolDirectories(flags).map((directory) => toolsFor(directory, tools, record)),
      ...textsFor(texts(flags, chosen), record),
    ]);
    tellChoice(chosen, found, context);
    if (flags.has("dry-run")) {
      context.streams.stdout(planned.flatMap(steps).join(""));
      return;
    }
    replaceAll(planned, record);
    context.streams.stdout(
      `${planned.map((directory) => summary(directory, context)).join("")}${flags.has("units") ? unitAdvice : ""}To undo: twill uninstall\n`,
    );
  };
  if (flags.has("dry-run")) work();
  else inWords("/var/lib/twill", () => alone(work));
  return 0;
}

/** @throws CniError 7: --plugin-dir is empty, or no runtime was found */
function chosenDestinations(flags: Flags, found: InstalledRuntimes, { plugins }: Self): Destination[] {
  const given = flags.get("plugin-dir");
  if (given === undefined) {
    const names = new Set(Object.keys(plugins));
    return destinations(found, {
      exists: (directory) => findStat(directory)?.type === "directory",
      hasPlugins: (directory) => (findDirectory(directory) ?? []).some((name) => names.has(name)),
    });
  }
  const directories = given.split(":").filter((directory) => directory !== "");
  if (directories.length > 0)
    return directories.map((directory) => ({
      directory,
      runtimes: found.runtimes.filter(({ pluginDirs }) => pluginDirs.includes(directory)).map(({ name }) => name),
    }));
  const remedy = "name a directory, as --plugin-dir /opt/cni/bin; a shell variable may be empty";
  throw new CniError({ code: ErrorCode.invalidEnvironment, msg: "--plugin-dir is empty", remedy });
}

const toolDirectories = (flags: Flags): string[] =>
  flags.has("no-tools") ? [] : [flags.get("tool-dir") || usualToolDirectory];

const unitAdvice = "To use the units: systemctl daemon-reload && systemctl enable --now twill-gc.timer\n";

/** Returns the texts that are asked for, by their paths. */
function texts(flags: Flags, chosen: readonly Destination[]): Map<string, string> {
  const programs = {
    toolDirectory: toolDirectories(flags)[0] ?? directoryOf(readLink("/proc/self/exe")),
    pluginDirectory: chosen[0]?.directory ?? "",
    flanneld: daemonBeside(),
  };
  return new Map([
    ...(flags.has("units") ? unitFiles(programs) : []),
    ...(flags.has("completion") ? completionFiles() : []),
  ]);
}

function daemonBeside(): string | undefined {
  const path = `${directoryOf(readLink("/proc/self/exe"))}/flanneld`;
  return findStat(path) === undefined ? undefined : path;
}

/** Two paths may lead to one directory. */
const unique = (planned: readonly PlannedDirectory[]): PlannedDirectory[] => [
  ...new Map(planned.map((directory) => [directory.path, directory])).values(),
];

function tellChoice(chosen: readonly Destination[], found: InstalledRuntimes, { streams }: ToolContext): void {
  const { stdout, stderr } = streams;
  for (const problem of found.problems) stderr(`twill install: ${problem}\n`);
  for (const { name, evidence, pluginDirs, source, unused } of found.runtimes) {
    const taken = chosen.filter(({ runtimes }) => runtimes.includes(name)).map(({ directory }) => printable(directory));
    const dirs = pluginDirs.map(printable).join(", ");
    if (unused !== undefined) stdout(`${name} (${evidence}): ${unused}\n`);
    else
      stdout(
        `${name} (${evidence}) looks in ${dirs} (${source}): ${taken.join(", ") || "nothing of this goes there"}\n`,
      );
  }
  for (const { directory, runtimes } of chosen)
    if (runtimes.length === 0)
      stderr(`twill install: no runtime of this node is known to look in ${printable(directory)}\n`);
}

function steps({ path, files }: PlannedDirectory): string[] {
  const isNew = findStat(path) === undefined;
  return [...(isNew ? [`would create ${printable(path)}\n`] : []), ...files.flatMap(stepsFor)];
}

function stepsFor({ path, before }: PlannedFile): string[] {
  const file = printable(path);
  if (before.whose === "nobody") return [`would create ${file}\n`];
  if (before.whose === "ours") return [`would replace ${file} (${describe(before)})\n`];
  const what = before.whose === "foreign" && before.about !== "" ? ` (${oneLine(before.about)})` : "";
  return [`would keep ${file}${what} as ${printable(keptPath(path))}\n`, `would replace ${file}\n`];
}

function summary({ path, files }: PlannedDirectory, { version }: Self): string {
  const kept = files.filter(({ before }) => before.whose === "foreign").length;
  const what = files.every(({ isPlugin }) => isPlugin)
    ? `${files.length} plugins of twill ${version}`
    : files.map(({ program }) => program).join(", ");
  const others = kept === 0 ? "" : `; ${kept} that were there are kept in ${printable(keptPath(path))}`;
  return `${printable(path)}: ${what}${others}\n`;
}
