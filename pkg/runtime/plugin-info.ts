/** Asks a plugin for the versions of the specification that it supports, and for its about text. */
import { aboutText, type Introduction, parseAbout } from "../cni/about.ts";
import { longestAnswerMs, versionsOfPlugin } from "../cni/delegate.ts";
import { findExecutable } from "../cni/find-executable.ts";
import type { Delegates } from "../cni/plugin.ts";
import { isSameProgram } from "../cni/same-build.ts";
import { isErrno } from "../sys/errno.ts";
import { directoryOf, findDirectory, findStat } from "../sys/file.ts";
import { environment, run } from "../sys/process.ts";
import { decode, encode } from "../sys/text.ts";

export interface PluginFile {
  name: string;
  path: string;
  /** The file of the same name in an earlier directory, which is the one that runs. */
  hiddenBy: string | undefined;
}

/** Returns all executable files of these directories, in the order in which plugins are searched for. */
export function pluginFiles(directories: readonly string[]): PluginFile[] {
  const first = new Map<string, string>();
  return directories.flatMap((directory) =>
    (findDirectory(directory) ?? [])
      .map((name) => ({ name, path: `${directory.replace(/\/+$/, "")}/${name}` }))
      .filter(({ path }) => isExecutable(path))
      .map(({ name, path }) => {
        const hiddenBy = first.get(name);
        if (hiddenBy === undefined) first.set(name, path);
        return { name, path, hiddenBy };
      }),
  );
}

function isExecutable(path: string): boolean {
  const stat = findStat(path);
  return stat?.type === "file" && (stat.mode & 0o111) !== 0;
}

/** Whether the file is another program of this executable, which no runtime calls. */
export const isOwnTool = ({ name, path }: Pick<PluginFile, "name" | "path">, plugins: Delegates): boolean =>
  !Object.hasOwn(plugins, name) && isSameProgram(findExecutable(name, [directoryOf(path)]));

/** Returns the about text that a plugin prints when it is called without CNI_COMMAND. @param version of this executable */
export function pluginInfo(
  { name, path }: Pick<PluginFile, "name" | "path">,
  plugins: Delegates,
  version: string,
): Introduction {
  const isOwn = Object.hasOwn(plugins, name) && isSameProgram(findExecutable(name, [directoryOf(path)]));
  const own = isOwn ? plugins[name] : undefined;
  return parseAbout(own === undefined ? printedBy(path) : aboutText(own, version, path));
}

function printedBy(path: string): string {
  const variables = Object.fromEntries(Object.entries(environment()).filter(([name]) => !name.startsWith("CNI_")));
  try {
    const { stdout } = run({
      path,
      environment: variables,
      stdin: encode(""),
      takesStderr: true,
      longestMs: longestAnswerMs,
    });
    return decode(stdout);
  } catch (error) {
    if (isErrno(error, "EACCES", "ENOEXEC", "ENOENT")) return ""; // asking for its versions reports why
    if (isErrno(error, "ETIMEDOUT")) return ""; // it answers VERSION, and does something else without a verb
    throw error;
  }
}

/** Returns the versions that a plugin supports. @throws CniError: its answer to VERSION is not a valid one */
export const versionsOf = ({ name, path }: Pick<PluginFile, "name" | "path">, plugins: Delegates): readonly string[] =>
  versionsOfPlugin(name, [directoryOf(path)], plugins);
