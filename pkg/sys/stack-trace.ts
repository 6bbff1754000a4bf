/** Stack traces with positions in the TypeScript sources. */

/** The build stores the script's line table here in the executable (lineTable in build.mjs); elsewhere (Node) stack traces are correct without it. */
declare const host: { lineTable: string } | undefined;

/** Returns the frames, one for each line, innermost first: `at needLink (pkg/link/link.ts:31)`. */
export function stackTrace(error: Error): string {
  const stack = error.stack ?? "";
  if (typeof host === "undefined") return stack;
  const { lineTable } = host;
  return stack
    .split("\n")
    .filter((frame) => !frame.includes("<internal>")) // lines of the engine's own C functions
    .map((frame) =>
      frame.trim().replace(/twill\.js:(\d+)(:\d+)?/, (place, line) => sourceOf(Number(line), lineTable) ?? place),
    )
    .filter((frame) => frame !== "")
    .join("\n");
}

function sourceOf(line: number, lineTable: string): string | undefined {
  let begin = 1;
  let ahead = 0;
  let found: string | undefined;
  for (const part of lineTable.split("\n")) {
    const [path, ...numbers] = part.split(" ");
    for (let i = 0; i < numbers.length; i += 2) {
      begin += Number(numbers[i]);
      if (begin > line) return found;
      ahead += Number(numbers[i + 1]);
      found = `${path}:${line + ahead}`;
    }
  }
  return found;
}
