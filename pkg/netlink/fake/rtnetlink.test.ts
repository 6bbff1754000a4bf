// The fake rtnetlink is like the kernel's (e2e/fakes.test.ts runs the same claims there).
import t, { type Test } from "tap";
import { FakeNetwork } from "./rtnetlink.testing.ts";
import { rtnetlinkClaims } from "./rtnetlink-claims.testing.ts";

for (const { claim, needs, holds } of rtnetlinkClaims) {
  const play = (t: Test, network = new FakeNetwork()): void => {
    const [host, container] = [network.addNamespace("host"), network.addNamespace("container")];
    const containerFd = container.netns.fd;
    holds(t, {
      host: host.connect(),
      container: container.connect(),
      containerFd,
      listen: () => host.listen(),
      unfiltered() {
        host.filtersDumps = false;
        return host.connect();
      },
    });
  };
  t.test(claim, async (t) => play(t));
  if (needs === "vlan_filtering") continue;
  t.test(`${claim}: without VLAN filtering`, async (t) => {
    const network = new FakeNetwork();
    network.hasVlanFiltering = false;
    play(t, network);
  });
}
