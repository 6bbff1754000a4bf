/** Stack traces with positions in the TypeScript sources. */

/** See lineTable in build.mjs: names of files, and triples "script line, source, source line", separated by blanks. */
interface LineTable {
  sources: string;
  runs: string;
}

/** The build stores the script's line table here in the executable; elsewhere (Node) stack traces are correct without it. */
declare const host: { lineTable: LineTable } | undefined;

/** Returns the frames, one for each line, innermost first: `at needLink (pkg/link/link.ts:31)`. */
export function stackTrace(error: Error): string {
  const stack = error.stack ?? "";
  if (typeof host === "undefined") return stack;
  const sources = host.lineTable.sources.split(" ");
  const runs = host.lineTable.runs.split(" ").map(Number);
  return stack
    .split("\n")
    .filter((frame) => !frame.includes("<internal>")) // lines of the engine's own C functions
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
