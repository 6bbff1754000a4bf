/** The directories of network configurations on this node, each with the directories in which the plugins of its networks are looked for. */
import type { InstalledRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";
import { defaultConfigDirectory } from "../../../pkg/runtime/network-list.ts";
import { pluginPathOrUsual } from "../../cnitool/paths.ts";

export interface ConfigDirectory {
  directory: string;
  /** Directories of plugins, in order. */
  path: readonly string[];
}

/** Returns all directories in which a network of this node may have its plugins, for networks whose configuration is gone; CNI_PATH names others. */
export function allPluginDirectories(
  { runtimes }: InstalledRuntimes,
  environment: Readonly<Record<string, string>>,
): string[] {
  const usual = pluginPathOrUsual(environment);
  return environment["CNI_PATH"]
    ? usual
    : [...new Set([...runtimes.flatMap(({ pluginDirs }) => pluginDirs), ...usual])];
}

/** Returns those of the runtimes and the usual one; NETCONFPATH and CNI_PATH name others. */
export function configDirectories(
  { runtimes }: InstalledRuntimes,
  environment: Readonly<Record<string, string>>,
): ConfigDirectory[] {
  const using = runtimes.filter(({ pluginDirs }) => pluginDirs.length > 0);
  const given = environment["NETCONFPATH"];
  const directories = given
    ? [given]
    : [...new Set([...using.map(({ configDir }) => configDir), defaultConfigDirectory])];
  return directories.map((directory) => {
    const runtime = environment["CNI_PATH"] ? undefined : using.find(({ configDir }) => configDir === directory);
    return { directory, path: runtime?.pluginDirs ?? pluginPathOrUsual(environment) };
  });
}
