// The way back: what this build attaches is checked, collected, reloaded and deleted by an earlier one. It needs that build, so it is run by hand:
//
//   node --import tsx e2e/earlier-builds/way-back.ts DIST [CASE...]
import { dirname } from "node:path";
import t from "tap";
import { needsKernel } from "../needs.ts";
import { ourTools } from "../project.ts";
import { cases } from "./cases.ts";
import { attachAll, detachAll, nodeFor } from "./fixture.ts";
import { remainsOn } from "./listing.ts";
import { buildIn } from "./tools.ts";
import { verify, verifyReload } from "./verify.ts";

const [dist = "", ...wanted] = process.argv.slice(2);
const earlier = buildIn(dist);
const ours = buildIn(dirname(ourTools));
t.setTimeout(3_600_000);

for (const name of wanted.length > 0 ? wanted : Object.keys(cases)) {
  t.test(name, needsKernel(...(cases[name]?.needs ?? [])), async (t) => {
    const before = nodeFor(t, name);
    attachAll(before, ours, name);
    detachAll(before, ours, name);
    const node = nodeFor(t, name);
    attachAll(node, ours, name);
    verify(t, node, earlier, name, remainsOn(before));

    const flushed = nodeFor(t, name);
    attachAll(flushed, ours, name);
    if (flushed.sh("nft list ruleset") !== "") verifyReload(t, flushed, earlier, name);
  });
}
