// The firewall plugin with its nftables backend, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { brokenDels, failedAdds, killedAdds } from "./faults.ts";
import { firewall } from "./firewall.ts";

t.setTimeout(120_000);

t.test("firewall, nftables: an ADD in which any system call fails leaves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(firewall(t, "nftables")), []);
});

t.test("firewall, nftables: DEL removes what an ADD killed anywhere has made", needsRoot, async (t) => {
  t.strictSame(killedAdds(firewall(t, "nftables")), []);
});

t.test(
  "firewall, nftables: a DEL in which any system call fails removes all, or says that it did not",
  needsRoot,
  async (t) => {
    t.strictSame(brokenDels(firewall(t, "nftables"), { error: "EIO" }), []);
  },
);

t.test("firewall, nftables: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(firewall(t, "nftables"), { signal: "KILL" }), []);
});
