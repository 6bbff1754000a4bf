// Where the project and its peers lie. The bundle that runs on the other kernel has another folder, hence the search.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

export const projectRoot = findRoot(import.meta.dirname);

/** The plugins under test. */
export const ourBin = join(projectRoot, "dist/plugins");

/** The tools: twill, cnitool, mk-docker-opts, flanneld. */
export const ourTools = join(projectRoot, "dist/bin");

/** The Go plugins: Debian's package containernetworking-plugins, or those that PEER_DIR names. */
export const goBin = process.env["PEER_DIR"] ?? "/usr/lib/cni";

function findRoot(from: string): string {
  if (existsSync(join(from, "package.json"))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error(`no package.json above ${import.meta.dirname}`);
  return findRoot(parent);
}
