/** Finds the file that a plugin's name stands for. */

import { nearest } from "../config/edit-distance.ts";
import { findDirectory, findStat } from "../sys/file.ts";
import { CniError, ErrorCode } from "./error.ts";

/** A plugin that was not started, so that it has made nothing. */
export class PluginNotStarted extends CniError {}

export interface Executable {
  path: string;
  /** Whether it is the file that this process is running. */
  isSelf: boolean;
}

/**
 * Returns the first regular file of that name in the directories; symbolic links are followed. Whether it can be executed is found
 * out by executing it.
 *
 * @throws PluginNotStarted 7: not a valid name. 4: no directories. 999 (as in the reference library): not found.
 */
export function findExecutable(name: string, directories: readonly string[]): Executable {
  if (name === "" || name.includes("/") || name === "." || name === "..") {
    throw new PluginNotStarted({
      code: ErrorCode.invalidConfig,
      msg: `"type" is ${JSON.stringify(name)}, must be the name of a plugin's executable`,
      remedy: 'write the name without its directory, as "type": "host-local"; directories are set by CNI_PATH',
    });
  }
  if (directories.length === 0) {
    throw new PluginNotStarted({
      code: ErrorCode.invalidEnvironment,
      msg: `no paths provided to find plugin "${name}": CNI_PATH is empty`,
      remedy:
        "set CNI_PATH to the directories of the plugins, as `export CNI_PATH=/opt/cni/bin`; with sudo: `sudo CNI_PATH=/opt/cni/bin ...`",
    });
  }
  for (const directory of directories) {
    const path = `${directory.endsWith("/") ? directory.replace(/\/+$/, "") : directory}/${name}`;
    const stat = findStat(path);
    if (stat?.type !== "file") continue;
    const self = findStat("/proc/self/exe");
    return { path, isSelf: self !== undefined && self.inode === stat.inode && self.device === stat.device };
  }
  throw notFound(name, directories);
}

function notFound(name: string, directories: readonly string[]): PluginNotStarted {
  const meant = nearest(
    name,
    directories.flatMap((directory) => findDirectory(directory) ?? []),
  );
  const missing = directories.filter((directory) => findDirectory(directory) === undefined);
  return new PluginNotStarted({
    code: ErrorCode.internal,
    msg: `failed to find plugin "${name}" in path [${directories.join(" ")}]`,
    details: missing.length === 0 ? undefined : `these directories do not exist: ${missing.join(", ")}`,
    remedy:
      missing.length === directories.length
        ? "correct CNI_PATH: none of its directories exists"
        : meant === undefined
          ? `install it into ${directories[0]}, or add its directory to CNI_PATH`
          : `did you mean "${meant}"? Otherwise install "${name}" into ${directories[0]}`,
  });
}
