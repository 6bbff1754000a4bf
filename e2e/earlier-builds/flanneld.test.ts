// What the flanneld of builds that were handed over has left when it ended is taken over as it is. See README.md.
import t from "tap";
import { needsKernel } from "../lab/needs.ts";
import { loadFixture } from "./fixture.ts";
import {
  type DaemonFixture,
  daemonCases,
  daemonNeeds,
  newDaemonNode,
  restoreDaemon,
  verifyDaemon,
} from "./flanneld.ts";
import { builds, ours } from "./tests.ts";

for (const build of builds) {
  for (const [name, one] of Object.entries(daemonCases)) {
    if (one.lacking?.includes(build)) continue;
    t.test(
      `${name} of ${build}: the next daemon takes over what is there`,
      needsKernel(...daemonNeeds(name)),
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
