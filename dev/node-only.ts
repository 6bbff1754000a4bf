/** What runs on Node only: the paths that tsconfig.plugins.json excludes from the type check for the plugins' engine. */
import { readFileSync } from "node:fs";

/** Beginnings of paths from the project's root, of folders and files. */
export const nodeOnly: readonly string[] = excludedFromQuickJs();

function excludedFromQuickJs(): string[] {
  const file = "tsconfig.plugins.json"; // tests run in the project's root; where they are joined into one file, its own path says nothing
  const [, list = ""] = /"exclude": \[([^\]]*)\]/.exec(readFileSync(file, "utf8")) ?? []; // it has comments, so it is not JSON
  const excluded = [...list.matchAll(/"([^"]+)"/g)].map(([, path = ""]) => path).filter((path) => !path.includes("*"));
  if (excluded.length === 0) throw new Error("tsconfig.plugins.json excludes nothing");
  return excluded;
}
