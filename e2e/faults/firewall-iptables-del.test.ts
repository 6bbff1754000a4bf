// The firewall plugin with its iptables backend: DEL, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { brokenDels } from "./faults.ts";
import { firewall } from "./firewall.ts";

t.setTimeout(120_000);

t.test(
  "firewall, iptables: a DEL in which any system call fails removes all, or says that it did not",
  needsRoot,
  async (t) => {
    t.strictSame(brokenDels(firewall(t, "iptables"), { error: "EIO" }), []);
  },
);

t.test("firewall, iptables: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(firewall(t, "iptables"), { signal: "KILL" }), []);
});
