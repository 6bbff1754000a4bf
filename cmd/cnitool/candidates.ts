/** Names for the completion in a shell. What cannot be read is left out: a completion has nobody to tell it to. */
import { CniError } from "../../pkg/cni/error.ts";
import type { ToolContext } from "../../pkg/cni/tool.ts";
import { readNetworks } from "../../pkg/network/network-directory.ts";
import { defaultCacheRoot, listCaches } from "../../pkg/runtime/result-cache.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { findDirectory } from "../../pkg/sys/file.ts";
import { configDirectory } from "./paths.ts";

/** Names of networks with plugins. */
export const pluginNetworks = (context: ToolContext): string[] =>
  networksIn(context)
    .filter(({ file }) => file !== undefined)
    .map(({ name }) => name);

/** Names of all networks, also of "host" and "none". */
export const allNetworks = (context: ToolContext): string[] => networksIn(context).map(({ name }) => name);

const networksIn = ({ streams }: ToolContext) =>
  ifReadable(() => readNetworks(configDirectory(streams.environment), () => undefined));

const namespaceDirectory = "/run/netns";

/** Names of the namespaces of `ip netns`. */
export const namespaceNames = (): string[] => ifReadable(() => findDirectory(namespaceDirectory) ?? []);

/** Their paths. */
export const namespacePaths = (): string[] => namespaceNames().map((name) => `${namespaceDirectory}/${name}`);

/** IDs of the containers in the runtimes' caches. */
export const containerIds = (): string[] => [
  ...new Set(
    ifReadable(() => listCaches(defaultCacheRoot)).flatMap(({ entries }) =>
      entries.map(({ containerId }) => containerId),
    ),
  ),
];

/** What `twill network connect` takes: containers, and namespaces that belong to none. */
export const containerNames = (): string[] => [...containerIds(), ...namespaceNames()];

function ifReadable<T>(read: () => T[]): T[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof CniError || error instanceof SystemError) return [];
    throw error;
  }
}
