/** The configurations of networks on this node. */
import { failureOf } from "../../../pkg/cni/error.ts";
import type { InstalledRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";
import { configurationFiles, loadList, loadSingle, type NetworkList } from "../../../pkg/runtime/network-list.ts";
import { configDirectories } from "./config-directories.ts";

export interface ConfiguredList {
  list: NetworkList;
  /** Directories of its plugins, in order. */
  path: readonly string[];
}

/** Returns those of all directories, in the order in which runtimes read them. @param warn A file that cannot be loaded is told: the others count */
export const configuredLists = (
  installed: InstalledRuntimes,
  environment: Readonly<Record<string, string>>,
  warn: (text: string) => void,
): ConfiguredList[] =>
  configDirectories(installed, environment).flatMap(({ directory, path }) =>
    configurationFiles(directory, [".conflist", ".conf", ".json"]).flatMap((file) =>
      loaded(() => (file.endsWith(".conflist") ? loadList(file) : loadSingle(file)), warn).map((list) => ({
        list,
        path,
      })),
    ),
  );

/** Returns the list, or none, which is told. */
export function loaded(load: () => NetworkList, warn: (text: string) => void): NetworkList[] {
  try {
    return [load()];
  } catch (error) {
    warn(failureOf(error).message);
    return [];
  }
}
