// The way back: what this build attaches is checked, collected, reloaded and deleted by an earlier one. It needs that build, so it is run by hand:
//
//   node --import tsx e2e/earlier-builds/way-back.ts DIST [CASE...]
import { dirname } from "node:path";
import t from "tap";
import { needsKernel } from "../lab/needs.ts";
import { ourTools } from "../lab/project.ts";
import { cases } from "./cases.ts";
import { attachAll, detachAll, nodeFor, prepare, startPrograms } from "./fixture.ts";
import { type DaemonCase, daemonCases, leaveBehind, newDaemonNode, verifyDaemon } from "./flanneld.ts";
import { remainsOn } from "./listing.ts";
import { buildIn } from "./tools.ts";
import { verify, verifyReload } from "./verify.ts";

const [dist = "", ...wanted] = process.argv.slice(2);
const earlier = buildIn(dist);
const ours = buildIn(dirname(ourTools));
t.setTimeout(3_600_000);

for (const name of wanted.length > 0 ? wanted : [...Object.keys(cases), ...Object.keys(daemonCases)]) {
  const daemon = daemonCases[name];
  if (daemon === undefined) testPlugins(name);
  else testDaemon(name, daemon);
}

function testPlugins(name: string): void {
  t.test(name, needsKernel(...(cases[name]?.needs ?? [])), async (t) => {
    const before = nodeFor(t, name);
    await prepare(t, before, ours, name);
    attachAll(before, ours, name);
    detachAll(before, ours, name);
    const node = nodeFor(t, name);
    const programs = await prepare(t, node, ours, name);
    attachAll(node, ours, name);
    for (const program of programs) await program.end("SIGTERM");
    await startPrograms(t, node, earlier, name);
    verify(t, node, earlier, name, remainsOn(before));

    const flushed = nodeFor(t, name);
    await prepare(t, flushed, ours, name);
    attachAll(flushed, ours, name);
    if (flushed.sh("nft list ruleset") !== "") verifyReload(t, flushed, earlier, name);
  });
}

function testDaemon(name: string, one: DaemonCase): void {
  t.test(name, needsKernel("vxlan"), async (t) => {
    const node = newDaemonNode(t);
    const etcd = await leaveBehind(t, node, ours, one);
    await verifyDaemon(t, node, earlier, one, etcd);
  });
}
