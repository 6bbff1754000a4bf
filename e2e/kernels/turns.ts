// Divides the test files among guests that run the same program at once: which guest comes to a file first, runs it. So both end together,
// whatever a file takes. Imported before the files.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";

/** A folder of the machine, the same for all guests. */
const folder = "/run/turns";
const isOurs = new Map<string, boolean>();
let current = "";

/** The tests that are made from here on are those of this file. */
export function beginFile(file: string): void {
  current = file;
  t.comment(`file ${file}`);
}

type Body = (t: Test) => unknown;

const add = t.test.bind(t) as (...args: unknown[]) => unknown;
t.test = ((...args: unknown[]) => {
  const file = current;
  const body = args.pop() as Body;
  return add(...args, (t: Test) => (take(file) ? body(t) : t.plan(0, "runs in the other guest")));
}) as typeof t.test;

function take(file: string): boolean {
  let answer = isOurs.get(file);
  if (answer === undefined) {
    answer = isMade(join(folder, file.replaceAll("/", "-")));
    isOurs.set(file, answer);
  }
  return answer;
}

/** @returns false where somebody else has made it */
function isMade(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
