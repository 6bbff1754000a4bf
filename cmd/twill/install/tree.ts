/** Folders with what is below them. */
import { findDirectory, findStat, removeDirectory, removeFile } from "../../../pkg/sys/file.ts";

/** Removes a folder with all that is below it; symbolic links are not followed. @param chosen Removes only what this says yes to, the deepest first. */
export function removeTree(path: string, chosen: (path: string) => boolean = () => true): void {
  const type = findStat(path, "link")?.type;
  if (type === "directory") for (const name of findDirectory(path) ?? []) removeTree(`${path}/${name}`, chosen);
  if (type === undefined || !chosen(path)) return;
  if (type === "directory") removeDirectory(path);
  else removeFile(path);
}

export const isEmptyFolder = (path: string): boolean =>
  findStat(path, "link")?.type === "directory" && findDirectory(path)?.length === 0;
