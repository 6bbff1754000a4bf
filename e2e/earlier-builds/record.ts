// Records the fixtures of a build. Usage: node --import tsx e2e/earlier-builds/record.ts NAME DIST [CASE...]
//
// NAME is the folder to write, version and commit of the build, as in 0.1.0-7ef44b8; DIST is its "dist" folder. See README.md.
import { cpSync, existsSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { readResult, resultsInGuest, runInGuest } from "../kernels/guest.ts";
import { completeKernel } from "../kernels/kernel.ts";
import { lackingFeatures } from "../lab/needs.ts";
import { projectRoot } from "../lab/project.ts";
import { cases } from "./cases.ts";
import { fixtureFolder } from "./fixture.ts";
import { daemonCases, daemonNeeds } from "./flanneld.ts";
import { recordCases } from "./recorder.ts";

const [name, dist, ...wanted] = process.argv.slice(2);
if (name === undefined || dist === undefined) {
  console.error("Usage: node --import tsx e2e/earlier-builds/record.ts NAME DIST [CASE...]");
  process.exit(2);
}
const folder = join(fixtureFolder, name);
const chosen = wanted.length > 0 ? wanted : [...Object.keys(cases), ...Object.keys(daemonCases)];
const lacking = lackingFeatures();
const leftToGuest = chosen.filter((one) =>
  (cases[one]?.needs ?? daemonNeeds(one)).some((need) => lacking.includes(need)),
);
await recordCases(
  folder,
  dist,
  chosen.filter((one) => !leftToGuest.includes(one)),
);
if (leftToGuest.length > 0) await recordInGuest(dist, leftToGuest);

/** Where this machine's kernel lacks what a case needs. The guest sees the machine's files, so also the build. */
async function recordInGuest(dist: string, names: readonly string[]): Promise<void> {
  const results = join(projectRoot, "dist/recorded");
  rmSync(results, { recursive: true, force: true });
  console.log(`on the complete kernel: ${names.join(", ")}`);
  await runInGuest(completeKernel(), {
    results,
    modules: [join(fixtureFolder, "record-in-guest.ts")],
    args: [join(resultsInGuest, "fixtures"), resolve(dist), ...names],
    longestMs: 30 * 60_000,
  });
  process.stdout.write(readResult({ results }, "printed"));
  process.stderr.write(readResult({ results }, "errors"));
  const recorded = join(results, "fixtures");
  if (existsSync(recorded)) cpSync(recorded, folder, { recursive: true });
  if (readResult({ results }, "status").trim() !== "0") throw new Error(`not all is recorded: ${results}/console`);
}
