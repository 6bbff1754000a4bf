/** The texts among installed files, which an administrator may edit: units and completions. */
import { completionFiles, shareDirectory } from "./completion-files.ts";
import type { InstalledFile } from "./record.ts";
import { unitDirectory, unitFiles } from "./units.ts";

/** Returns the flag with which `twill install` puts a file there again; undefined for a plugin or tool, which needs none. */
export function textFlagOf({ path, isPlugin }: Pick<InstalledFile, "path" | "isPlugin">): string | undefined {
  const isAmong = (files: ReadonlyMap<string, string>, root: string) =>
    [...files.keys()].some((file) => path.endsWith(file.slice(root.length))); // the root may be a symbolic link
  if (isPlugin) return undefined;
  if (isAmong(unitFiles(anyPrograms), unitDirectory)) return "--units";
  return isAmong(completionFiles(), shareDirectory) ? "--completion" : undefined;
}

const anyPrograms = { toolDirectory: "", pluginDirectory: "", flanneld: "" };

/** Returns the command that puts these files there again. */
export const installCommandFor = (files: readonly Pick<InstalledFile, "path" | "isPlugin">[]): string =>
  ["twill install", ...new Set(files.flatMap((file) => textFlagOf(file) ?? []))].join(" ");
