// What this build leaves has the form of what builds before left, so that they can go on with it on a node that goes back to one of them. This needs
// no executable of theirs; way-back.ts, which does, shows that they can. See README.md.
import t from "tap";
import { inFullRunOnly, inLongRunOnCompleteKernel, needsKernel, needsRoot } from "../lab/needs.ts";
import { builds, ours } from "./builds.ts";
import { cases } from "./cases.ts";
import { attachAll, loadFixture, nodeFor, prepare, restore, startFirewall } from "./fixture.ts";
import { asEarlier, type Difference, formOf, known } from "./form.ts";
import { differences } from "./listing.ts";

const seen = new Set<Difference>();

for (const build of builds) for (const name of Object.keys(cases)) testForm(build, name);

function testForm(build: string, name: string): void {
  const fixture = loadFixture(build, name);
  if (fixture === undefined) return;
  const needs = inLongRunOnCompleteKernel(needsKernel(...(cases[name]?.needs ?? [])));
  t.test(`${name}: what is left has the form of ${build}`, inFullRunOnly(needs), async (t) => {
    const node = nodeFor(t, name);
    await prepare(t, node, ours, name);
    attachAll(node, ours, name);
    const earlier = nodeFor(t, name);
    await startFirewall(earlier, name);
    restore(earlier, fixture);
    t.strictSame(differences(formOf(earlier).sort(), asEarlier(build, formOf(node), seen).sort()), []);
  });
}

t.test("every difference that is known is there", inFullRunOnly(needsRoot), async (t) => {
  const gone = Object.values(known).filter((difference) => !seen.has(difference));
  t.strictSame(gone, []);
});
