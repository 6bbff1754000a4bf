// Records the fixtures of a build. Usage: node --import tsx e2e/earlier-builds/record.ts NAME DIST [CASE...]
//
// NAME is the folder to write, version and commit of the build, as in 0.1.0-7ef44b8; DIST is its "dist" folder. See README.md.
import { cases } from "./cases.ts";
import { record, saveFixture } from "./fixture.ts";
import { daemonCases, recordDaemon } from "./flanneld.ts";
import { buildIn } from "./tools.ts";

const [name, dist, ...wanted] = process.argv.slice(2);
if (name === undefined || dist === undefined) {
  console.error("Usage: node --import tsx e2e/earlier-builds/record.ts NAME DIST [CASE...]");
  process.exit(2);
}
for (const one of wanted.length > 0 ? wanted : [...Object.keys(cases), ...Object.keys(daemonCases)]) {
  const ended: (() => unknown)[] = [];
  const test = { teardown: (work: () => unknown) => ended.push(work), passing: () => true, comment() {} };
  try {
    const daemon = daemonCases[one];
    const build = buildIn(dist);
    saveFixture(name, one, daemon ? await recordDaemon(test, build, daemon) : await record(test, build, one));
    console.log(`recorded ${one}`);
  } finally {
    for (const work of ended.reverse()) await work();
  }
}
