/** Selects the directories into which plugins have to go so that the runtimes of this node call them. Pure, but for the look at the node. */
import { CniError, ErrorCode } from "../../../pkg/cni/error.ts";
import type { InstalledRuntime, InstalledRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";

export interface Destination {
  directory: string;
  /** The runtimes that look there. */
  runtimes: readonly string[];
}

export interface Directories {
  exists(directory: string): boolean;
  /** Whether it has at least one plugin of a name that is ours. */
  hasPlugins(directory: string): boolean;
}

/** Returns the directories, each once. @throws CniError 7: no runtime of this node calls plugins */
export function destinations({ runtimes, problems }: InstalledRuntimes, directories: Directories): Destination[] {
  const using = runtimes.filter(({ pluginDirs }) => pluginDirs.length > 0);
  if (using.length === 0) throw noRuntime(runtimes, problems);
  const byDirectory = new Map<string, string[]>();
  for (const runtime of using) {
    const directory = destinationOf(runtime, directories);
    byDirectory.set(directory, [...(byDirectory.get(directory) ?? []), runtime.name]);
  }
  return [...byDirectory].map(([directory, names]) => ({ directory, runtimes: names }));
}

/**
 * Returns the directory from which a runtime takes its plugins now: the first that has some. Where none has, the one that other
 * runtimes know as well, or else the first that exists.
 */
export function destinationOf({ pluginDirs }: InstalledRuntime, { exists, hasPlugins }: Directories): string {
  return (
    pluginDirs.find(hasPlugins) ??
    pluginDirs.find((directory) => directory === USUAL) ??
    pluginDirs.find(exists) ??
    pluginDirs[0] ??
    USUAL
  );
}
const USUAL = "/opt/cni/bin";

function noRuntime(runtimes: readonly InstalledRuntime[], problems: readonly string[]): CniError {
  const unused = runtimes.map(({ name, unused = "" }) => `${name}: ${unused}`);
  return new CniError({
    code: ErrorCode.invalidConfig,
    msg:
      runtimes.length === 0
        ? "no container runtime was found on this node"
        : "no container runtime of this node calls CNI plugins",
    details: [...unused, ...problems].join("; ") || undefined,
    remedy: `install one first, or name the directory in which yours looks for plugins: twill install --plugin-dir ${USUAL}`,
  });
}
