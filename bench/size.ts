// What has to be installed.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { goBin, ourBin } from "../e2e/lab/project.ts";
import { exactly, type Row, withGoals } from "./figures.ts";

const MOST_MEGABYTES = 4.7;

export function sizeRows(): Row[] {
  const ours = readdirSync(ourBin);
  const theirs = readdirSync(goBin);
  const both = ours.filter((name) => theirs.includes(name));
  const figures = { twill: exactly(megabytes(ourBin, ours)), Go: exactly(megabytes(goBin, both)) };
  const row = { section: "files", name: `all of ours (Go: ${both.join(", ")})`, unit: "MB" as const, figures };
  return [{ ...withGoals(row, {}), goals: [{ of: "MB", value: figures.twill.median, limit: MOST_MEGABYTES }] }];
}

/** A file with several names counts once. */
function megabytes(folder: string, names: readonly string[]): number {
  const files = new Map(
    names.map((name) => {
      const { dev, ino, size } = statSync(join(folder, name));
      return [`${dev} ${ino}`, size];
    }),
  );
  return [...files.values()].reduce((sum, size) => sum + size, 0) / 1e6;
}
