// Divides the test files, and where a file has groups (lab/shares.ts) these, among guests that run the same program at once: which guest comes to
// one first, runs it. So both end together, whatever each takes. Imported before the files.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { beforeEachGroup } from "../lab/shares.ts";

/** A folder of the machine, the same for all guests. */
const folder = "/run/turns";
const isOurs = new Map<string, boolean>();
let currentFile = "";
let current = "";

beforeEachGroup((name) => {
  current = `${currentFile} ${name}`;
});

/** The tests that are made from here on are those of this file. */
export function beginFile(file: string): void {
  currentFile = file;
  current = file;
  t.comment(`file ${file}`);
}

type Body = (t: Test) => unknown;

const add = t.test.bind(t) as (...args: unknown[]) => unknown;
t.test = ((...args: unknown[]) => {
  const part = current;
  const body = args.pop() as Body;
  return add(...args, (t: Test) => (take(part) ? body(t) : t.plan(0, "runs in the other guest")));
}) as typeof t.test;

function take(part: string): boolean {
  let answer = isOurs.get(part);
  if (answer === undefined) {
    answer = isMade(join(folder, part.replaceAll("/", "-")));
    isOurs.set(part, answer);
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
