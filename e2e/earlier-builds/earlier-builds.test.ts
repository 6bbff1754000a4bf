// What builds that were handed over have left on a node is still checked, collected and deleted. See README.md.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { needsKernel } from "../needs.ts";
import { projectRoot } from "../project.ts";
import { cases } from "./cases.ts";
import { fixtureFolder, loadFixture, nodeFor, restore } from "./fixture.ts";
import { buildIn } from "./tools.ts";
import { verify, verifyReload } from "./verify.ts";

const builds = readdirSync(fixtureFolder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
const ours = buildIn(join(projectRoot, "dist"));

for (const { name: build } of builds) {
  for (const [name, { needs = [] }] of Object.entries(cases)) {
    const fixture = loadFixture(build, name);
    if (fixture === undefined) continue;
    t.test(
      `${name} of ${build}: checked, kept and collected by GC, deleted in every way`,
      needsKernel(...needs),
      async (t) => {
        const node = nodeFor(t, name);
        restore(node, fixture);
        verify(t, node, ours, name, fixture.left);
      },
    );

    if (fixture.netfilter === "" && fixture.legacy.iptables === "") continue;
    t.test(`${name} of ${build}: reload brings all rules back`, needsKernel(...needs), async (t) => {
      const node = nodeFor(t, name);
      restore(node, fixture);
      verifyReload(t, node, ours, name);
    });
  }
}
