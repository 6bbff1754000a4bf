// What the flanneld of builds that were handed over has left when it ended is taken over as it is. See README.md.
import t from "tap";
import { inFullRunOnly, needsKernel } from "../lab/needs.ts";
import { BUILD_IN_EACH_RUN, builds, ours } from "./builds.ts";
import { loadFixture } from "./fixture.ts";
import {
  type DaemonFixture,
  daemonCases,
  daemonNeeds,
  newDaemonNode,
  restoreDaemon,
  verifyDaemon,
} from "./flanneld.ts";

/** The others differ from it in the backend or the store alone. */
const CASES_IN_EACH_RUN = ["flanneld-vxlan-etcd", "flanneld-host-gw-etcd"];

for (const build of builds) {
  for (const [name, one] of Object.entries(daemonCases)) {
    if (one.lacking?.includes(build)) continue;
    const needs = needsKernel(...daemonNeeds(name));
    const isInEachRun = build === BUILD_IN_EACH_RUN && CASES_IN_EACH_RUN.includes(name);
    t.test(
      `${name} of ${build}: the next daemon takes over what is there`,
      isInEachRun ? needs : inFullRunOnly(needs),
      async (t) => {
        const fixture = loadFixture<DaemonFixture>(build, name);
        if (fixture === undefined) throw new Error("there is no fixture");
        const node = newDaemonNode(t);
        const etcd = await restoreDaemon(t, node, fixture);
        await verifyDaemon(t, node, ours, one, etcd);
      },
    );
  }
}
