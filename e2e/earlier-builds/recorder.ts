// Records cases of a build on the kernel that runs here.
import { record, saveFixture } from "./fixture.ts";
import { daemonCases, recordDaemon } from "./flanneld.ts";
import { buildIn } from "./tools.ts";

/** @param folder For the fixtures. @param dist The build's "dist" folder. */
export async function recordCases(folder: string, dist: string, names: readonly string[]): Promise<void> {
  const build = buildIn(dist);
  for (const name of names) {
    const ended: (() => unknown)[] = [];
    const test = { teardown: (work: () => unknown) => ended.push(work), passing: () => true, comment() {} };
    const daemon = daemonCases[name];
    try {
      saveFixture(folder, name, daemon ? await recordDaemon(test, build, daemon) : await record(test, build, name));
      console.log(`recorded ${name}`);
    } finally {
      for (const work of ended.reverse()) await work();
    }
  }
}
