/** Where an error came from, in terms of the TypeScript sources. */

/** See lineTable in build.mjs: names of files, and triples "script line, source, source line", separated by blanks. */
interface LineTable {
  sources: string;
  runs: string;
}

/** In the executable the build leaves the table of its own script here; elsewhere stacks are right already. */
declare const host: { lineTable: LineTable } | undefined;

/** The frames, one a line, innermost first: `at needLink (pkg/link/link.ts:31)`. */
export function stackTrace(error: Error): string {
  const stack = error.stack ?? "";
  if (typeof host === "undefined") return stack;
  const sources = host.lineTable.sources.split(" ");
  const runs = host.lineTable.runs.split(" ").map(Number);
  return stack
    .split("\n")
    .filter((frame) => !frame.includes("<internal>")) // the engine's own C lines
    .map((frame) => frame.trim().replace(/twill\.js:(\d+)(:\d+)?/, (_, line) => sourceOf(Number(line), sources, runs)))
    .filter((frame) => frame !== "")
    .join("\n");
}

function sourceOf(line: number, sources: readonly string[], runs: readonly number[]): string {
  let at = 0;
  while (at + 3 < runs.length && (runs[at + 3] ?? 0) <= line) at += 3;
  const [start = 0, source = 0, sourceLine = 0] = runs.slice(at, at + 3);
  return `${sources[source]}:${sourceLine + line - start}`;
}
