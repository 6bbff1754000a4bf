// The fake rtnetlink is like the kernel's (e2e/fakes.test.ts runs the same claims there).
import t from "tap";
import { FakeNetwork } from "./rtnetlink.testing.ts";
import { rtnetlinkClaims } from "./rtnetlink-claims.testing.ts";

for (const { claim, holds } of rtnetlinkClaims) {
  t.test(claim, async (t) => {
    const network = new FakeNetwork();
    const [host, container] = [network.addNamespace("host"), network.addNamespace("container")];
    const containerFd = container.netns.fd;
    holds(t, { host: host.connect(), container: container.connect(), containerFd, listen: () => host.listen() });
  });
}
