/** The plugins of twill's names that a runtime calls, whosever they are. */
import type { InstalledRuntime } from "../../../pkg/runtime/installed-runtimes.ts";
import { findStat } from "../../../pkg/sys/file.ts";
import { type Origin, originOf, type Self } from "./origin.ts";

export interface CalledPlugin {
  type: string;
  /** undefined when none of the directories has it. */
  path: string | undefined;
  origin: Origin;
}

export interface Called {
  runtime: InstalledRuntime;
  plugins: CalledPlugin[];
}

export function calledBy(runtime: InstalledRuntime, self: Self): Called {
  const types = runtime.pluginDirs.length === 0 ? [] : Object.keys(self.plugins);
  return { runtime, plugins: types.map((type) => calledPlugin(type, runtime.pluginDirs, self)) };
}

/** Of several directories the first that has the file counts. */
function calledPlugin(type: string, directories: readonly string[], self: Self): CalledPlugin {
  const directory = directories.find((one) => findStat(`${one}/${type}`)?.type === "file");
  if (directory === undefined) return { type, path: undefined, origin: { whose: "nobody" } };
  return { type, path: `${directory}/${type}`, origin: originOf(directory, type, self) };
}
