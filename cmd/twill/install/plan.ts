/** What an installation replaces: which programs go into which directories, and what is there now. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import { realPath } from "../../../pkg/sys/copy.ts";
import { directoryOf, findStat } from "../../../pkg/sys/file.ts";
import { describe, type Origin, originOf, type Self } from "./origin.ts";
import type { InstallRecord } from "./record.ts";
import { isAsInstalled } from "./record.ts";
import type { PlannedDirectory, PlannedFile } from "./replacement.ts";

/** Plans all plugins for a directory. @throws CniError 7: it is for commands, or has a file of such a name that is no plugin */
export function pluginsFor(directory: string, self: Self, record: InstallRecord): PlannedDirectory {
  const path = existing(directory);
  refuseCommands(path);
  const names = Object.keys(self.plugins);
  return { path, files: names.map((name) => planned(path, name, true, originOfPlugin(path, name, self, record))) };
}

/** Plans tools for a directory. Their files are not started to see whose they are: some do their work whatever they are asked. */
export function toolsFor(directory: string, names: readonly string[], record: InstallRecord): PlannedDirectory {
  const path = existing(directory);
  return { path, files: names.map((name) => planned(path, name, false, originOfTool(`${path}/${name}`, record))) };
}

/** Plans texts, whose contents are given by their paths. */
export function textsFor(texts: ReadonlyMap<string, string>, record: InstallRecord): PlannedDirectory[] {
  const byDirectory = new Map<string, PlannedFile[]>();
  for (const [path, text] of texts) {
    const [directory, program] = [existing(directoryOf(path)), path.slice(path.lastIndexOf("/") + 1)];
    const file = planned(directory, program, false, originOfTool(`${directory}/${program}`, record));
    byDirectory.set(directory, [...(byDirectory.get(directory) ?? []), { ...file, text }]);
  }
  return [...byDirectory].map(([path, files]) => ({ path, files }));
}

function planned(directory: string, program: string, isPlugin: boolean, before: Origin): PlannedFile {
  const path = `${directory}/${program}`;
  if (before.whose !== "no plugin") return { path, program, isPlugin, before };
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `${path} is in the way`,
    details: before.why,
    remedy: "move it to another directory; if it is a damaged plugin, remove it",
  });
}

/** One of twill's that was copied there by hand is kept like any other. */
function originOfPlugin(directory: string, name: string, self: Self, { files }: InstallRecord): Origin {
  const origin = originOf(directory, name, self);
  const isInstalled = files.some(({ path }) => path === `${directory}/${name}`);
  return origin.whose === "ours" && !isInstalled ? { whose: "foreign", about: describe(origin) } : origin;
}

function originOfTool(path: string, { files }: InstallRecord): Origin {
  const stat = findStat(path, "link");
  if (stat === undefined) return { whose: "nobody" };
  if (stat.type === "directory") return { whose: "no plugin", why: "it is a directory" };
  const installed = files.find((file) => file.path === path);
  return installed !== undefined && isAsInstalled(installed)
    ? { whose: "ours", version: "" }
    : { whose: "foreign", about: "" };
}

/** Returns the directory without symbolic links, so that one that has two names is served once. @throws CniError 7 */
function existing(directory: string): string {
  if (!directory.startsWith("/")) {
    const remedy = "write it with its whole path, as /opt/cni/bin";
    throw new CniError({
      code: ErrorCode.invalidConfig,
      msg: `${JSON.stringify(directory)} is not a whole path`,
      remedy,
    });
  }
  const type = findStat(directory)?.type;
  if (type === "directory") return realPath(directory);
  if (type === undefined && findStat(directory, "link") === undefined) return directory.replace(/(?<=.)\/+$/, "");
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `${directory} is not a directory`,
    details: type === undefined ? "it is a symbolic link that leads nowhere" : undefined,
    remedy: "remove what is in the way, or choose another directory",
  });
}

const commandDirectories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

function refuseCommands(path: string): void {
  const real = commandDirectories.filter((directory) => findStat(directory)?.type === "directory").map(realPath);
  if (!real.includes(path) && !commandDirectories.includes(path)) return;
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `${path} is a directory of commands: the plugin "bridge" would be in the place of iproute2's command`,
    remedy: "choose a directory that is for plugins alone, as /opt/cni/bin",
  });
}
