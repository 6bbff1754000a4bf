// The tests of some cases, for each build of which there are fixtures.
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import t from "tap";
import { inFullRunOnly, inLongRunOnCompleteKernel, needsKernel } from "../lab/needs.ts";
import { ourTools } from "../lab/project.ts";
import { cases } from "./cases.ts";
import { fixtureFolder, loadFixture, nodeFor, restore, startFirewall, startPrograms } from "./fixture.ts";
import { remainsOn } from "./listing.ts";
import { buildIn } from "./tools.ts";
import { verify, verifyReload } from "./verify.ts";

export const builds = readdirSync(fixtureFolder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
export const ours = buildIn(dirname(ourTools));

/** @param chosen Which cases, by name. */
export function testCases(chosen: (name: string) => boolean): void {
  for (const build of builds) for (const name of Object.keys(cases)) if (chosen(name)) testCase(build, name);
}

/** Of the cases on the complete kernel, where each takes a minute; the others are deleted by the code that macvlan and tuning show here. */
const IN_EACH_RUN = ["bridge-vlan"];
/** Other keys of a plugin that a case beside them has. */
const IN_FULL_RUN = /-legacy$|^portmap-|^firewall-isolated|-ranges$/;
/** The build whose state differs most from this one's. */
export const BUILD_IN_EACH_RUN = "0.1.0-7ef44b8";

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
