// The firewall plugin with its iptables backend: ADD, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { failedAdds, killedAdds } from "./faults.ts";
import { firewall } from "./firewall.ts";

t.setTimeout(120_000);

t.test("firewall, iptables: an ADD in which any system call fails leaves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(firewall(t, "iptables")), []);
});

t.test("firewall, iptables: DEL removes what an ADD killed anywhere has made", needsRoot, async (t) => {
  t.strictSame(killedAdds(firewall(t, "iptables")), []);
});
