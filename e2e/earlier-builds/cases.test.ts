// What builds that were handed over have left on a node is still checked, collected, reloaded and deleted. See README.md.
import t from "tap";
import { inFullRunOnly, inLongRunOnCompleteKernel, needsKernel } from "../lab/needs.ts";
import { inShares } from "../lab/shares.ts";
import { BUILD_IN_EACH_RUN, builds, ours } from "./builds.ts";
import { cases } from "./cases.ts";
import { loadFixture, nodeFor, restore, startFirewall, startPrograms } from "./fixture.ts";
import { remainsOn } from "./listing.ts";
import { verify, verifyReload } from "./verify.ts";

/** Of the cases on the complete kernel, where each takes a minute; the others are deleted by the code that macvlan and tuning show here. */
const IN_EACH_RUN = ["bridge-vlan"];
/** Other keys of a plugin that a case beside them has. */
const IN_FULL_RUN = /-legacy$|^portmap-|^firewall-isolated|-ranges$/;
/** Later builds have more cases. */
const recorded: Record<string, number> = {
  "0.1.0-7ef44b8": 31,
  "0.1.0-f2c7bd8": 31,
  "0.1.0-2df01db": 31,
  "0.1.0-93083e8": 31,
};

t.setTimeout(0); // the whole file has its time from whoever runs it
inShares({ fixtures: testPresence });
for (const build of builds)
  for (const name of Object.keys(cases)) inShares({ [`${name} of ${build}`]: () => testCase(build, name) });

function testPresence(): void {
  t.test("the fixtures of every build are there", async (t) => {
    t.ok(builds.length > 0);
    const numbers = builds.map((build) => [
      build,
      Object.keys(cases).filter((name) => loadFixture(build, name)).length,
    ]);
    t.strictSame(Object.fromEntries(numbers), recorded);
  });
}

function needsOf(build: string, name: string) {
  const needs = needsKernel(...(cases[name]?.needs ?? []));
  const isInEachRun = build === BUILD_IN_EACH_RUN;
  const inGuest = isInEachRun && IN_EACH_RUN.includes(name) ? needs : inLongRunOnCompleteKernel(needs);
  return isInEachRun && !IN_FULL_RUN.test(name) ? inGuest : inFullRunOnly(inGuest);
}

function testCase(build: string, name: string): void {
  const fixture = loadFixture(build, name);
  if (fixture === undefined) return;
  const needs = needsOf(build, name);
  t.test(`${name} of ${build}: checked, kept and collected by GC, deleted in every way`, needs, async (t) => {
    const node = nodeFor(t, name);
    await startFirewall(node, name);
    const fresh = remainsOn(node); // of sysctls, a namespace inherits the machine's
    restore(node, fixture);
    const [server] = await startPrograms(t, node, ours, name);
    verify(t, node, ours, name, [...fixture.left, ...fresh]);
    if (name === "dhcp") await server?.says(/(DHCPRELEASE.*\n.*){3}/); // from where the interface is still there
  });

  if (fixture.netfilter === "" && fixture.legacy.iptables === "") return;
  t.test(`${name} of ${build}: reload brings all rules back`, needs, async (t) => {
    const node = nodeFor(t, name);
    await startFirewall(node, name);
    restore(node, fixture);
    verifyReload(t, node, ours, name);
  });
}
