// tap with host-local, each system call of it failing or being its last.
import t from "tap";
import { newHost } from "../host.ts";
import { needsRoot } from "../needs.ts";
import { brokenDels, failedAdds, killedAdds, type Subject } from "./faults.ts";

const conf = {
  cniVersion: "1.1.0",
  name: "net",
  type: "tap",
  owner: 1000,
  mac: "02:00:00:00:00:01",
  ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] },
};

const tap = (t: Parameters<typeof newHost>[0]): Subject => ({ node: newHost(t), plugin: "tap", conf });

t.test("tap: an ADD in which any system call fails leaves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(tap(t)), []);
});

t.test("tap: DEL removes what an ADD killed anywhere has made", needsRoot, async (t) => {
  t.strictSame(killedAdds(tap(t)), []);
});

t.test("tap: a DEL in which any system call fails deletes all, or says that it did not", needsRoot, async (t) => {
  t.strictSame(brokenDels(tap(t), { error: "EIO" }), []);
});

t.test("tap: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(tap(t), { signal: "KILL" }), []);
});
