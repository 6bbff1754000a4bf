// portmap by nftables, each system call of it failing or being its last.
import t from "tap";
import { needsRoot } from "../needs.ts";
import { brokenDels, failedAdds, killedAdds } from "./faults.ts";
import { portmap } from "./portmap.ts";

t.test("portmap, nftables: an ADD in which any system call fails leaves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(portmap(t, "nftables")), []);
});

t.test("portmap, nftables: DEL removes what an ADD killed anywhere has made", needsRoot, async (t) => {
  t.strictSame(killedAdds(portmap(t, "nftables")), []);
});

t.test("portmap, nftables: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(portmap(t, "nftables"), { signal: "KILL" }), []);
});
