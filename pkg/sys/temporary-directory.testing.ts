/** Directories of tests that run on Node and on the plugins' engine. */
import { findDirectory, findStat, makeDirectories, removeDirectory, removeFile } from "./file.ts";
import { randomHex } from "./random.ts";

/** The part of tap's `t` that is used here. */
interface Test {
  teardown(work: () => void): unknown;
}

/** Makes a directory of a name of its own, which is removed with all that is in it, however the test ends. */
export function temporaryDirectory(t: Test, what: string): string {
  const path = `/tmp/twill-${what}-${randomHex(6)}`;
  t.teardown(() => removeTree(path));
  makeDirectories(path, 0o755);
  return path;
}

function removeTree(path: string): void {
  for (const name of findDirectory(path) ?? []) {
    const inner = `${path}/${name}`;
    if (findStat(inner, "link")?.type === "directory") removeTree(inner);
    else removeFile(inner);
  }
  removeDirectory(path);
}
