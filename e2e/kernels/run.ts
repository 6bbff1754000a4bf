// Runs, on the complete kernel, every end-to-end test that asks for a kernel feature. Usage: run.ts [name part]
//
// A test mostly waits for one program, so a guest keeps one processor busy: two guests at once divide the files among themselves.
// What the guests print is TAP, with `# file NAME` before the tests of each file.
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { projectRoot } from "../lab/project.ts";
import { type Job, readResult, runInGuest } from "./guest.ts";
import { completeKernel } from "./kernel.ts";

const GUESTS = 2;
/** So that both guests end together. */
const LONGEST = ["/faults/", "/prev-result", "/parity/", "/earlier-builds/"];
/** It takes seven minutes on a machine that does nothing else. */
const longestRunMs = (process.env["TWILL_LONG"] === "1" ? 120 : 45) * 60_000;
const results = join(projectRoot, "dist/kernel");
/** Defines the needs, and so names them all. @throws Error where it has moved: every test would count as one that needs a kernel */
const definition = realpathSync(join(projectRoot, "e2e/lab/needs.ts"));
const part = process.argv[2] ?? "";

const files = testsThatNeedKernel();
if (files.length === 0) throw new Error("no test asks for a kernel feature");
rmSync(results, { recursive: true, force: true });
const turns = join(results, "turns");
mkdirSync(turns, { recursive: true });
const guests: Job[] = Array.from(
  { length: files.some(hasGroups) ? GUESTS : Math.min(GUESTS, files.length) },
  (_, i) => ({
    results: join(results, `guest-${i + 1}`),
    modules: files,
    turns,
    longestMs: longestRunMs,
  }),
);
const kernel = completeKernel();
const started = performance.now();
await Promise.all(guests.map((guest) => runInGuest(kernel, guest)));
for (const guest of guests) report(guest);
complain(guests);
console.log(
  `# ${files.length} files on kernel ${kernel.release}, ${((performance.now() - started) / 1000).toFixed(1)} s`,
);

/** The test files that call `needsKernel`, by themselves or in what they import; those that take longest first. */
function testsThatNeedKernel(): string[] {
  const root = join(projectRoot, "e2e");
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts") && name.includes(part))
    .map((name) => join(root, name))
    .filter((file) => withImports(file).some((each) => /\bneedsKernel\(/.test(readFileSync(each, "utf8"))))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

function hasGroups(file: string): boolean {
  return readFileSync(file, "utf8").includes("inShares(");
}

function rank(file: string): number {
  const at = LONGEST.findIndex((folder) => file.includes(folder));
  return at < 0 ? LONGEST.length : at;
}

/** A file and what it imports from this folder, but for the file that defines the needs. */
function withImports(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file) || file === definition) return [];
  seen.add(file);
  const imports = [...readFileSync(file, "utf8").matchAll(/\bfrom "(\..+\.ts)"/g)].map(([, name = ""]) => name);
  const files = imports.map((name) => join(dirname(file), name)).filter((each) => existsSync(each)); // or text in a test
  return [file, ...files.flatMap((each) => withImports(each, seen))];
}

function report(guest: Job): void {
  process.stdout.write(readResult(guest, "printed"));
  process.stderr.write(readResult(guest, "errors"));
  const complaints = unfinished(readResult(guest, "status").trim());
  for (const complaint of complaints) {
    console.log(`not ok - ${complaint}`);
    console.log(`# the guest's console: ${relative(process.cwd(), join(guest.results, "console"))}`);
    process.exitCode = 1;
  }
}

function unfinished(status: string): string[] {
  if (status === "") return [`the guest ended without a result, or took longer than ${longestRunMs / 1000} s`];
  return status === "0" ? [] : [`tests failed on the complete kernel (exit status ${status})`];
}

/** A test that ran on neither kernel is as bad as one that failed. */
function complain(guests: readonly Job[]): void {
  const lines = guests.flatMap((guest) => readResult(guest, "printed").split("\n"));
  const points = lines.filter((line) => /^ *ok \d+ - /.test(line) && !line.includes(" # SKIP"));
  const passed = new Set(points.map((line) => line.replace(/^ *ok \d+ - /, "").replace(/ # time=.*/, "")));
  const ranNowhere = part === "" ? leftToUs().filter((name) => !passed.has(name)) : [];
  const complaints = [
    ...(passed.size === 0 ? ["no test passed on the complete kernel"] : []),
    ...ranNowhere.map((name) => `skipped on the machine's kernel, did not pass on the complete one: ${name}`),
  ];
  for (const complaint of complaints) {
    console.log(`not ok - ${complaint}`);
    process.exitCode = 1;
  }
}

/** Names of the tests that the last complete `npm test` skipped for the sake of a kernel feature. */
function leftToUs(): string[] {
  const list = join(projectRoot, "dist/test/skipped-for-kernel.json");
  return existsSync(list) ? JSON.parse(readFileSync(list, "utf8")) : [];
}
