// loopback, each system call of it failing or being its last.
import t from "tap";
import { newHost } from "../host.ts";
import { needsRoot } from "../needs.ts";
import { brokenDels, failedAdds, killedAdds, type Subject } from "./faults.ts";

const conf = { cniVersion: "1.1.0", name: "net", type: "loopback" };

function loopback(t: Parameters<typeof newHost>[0]): Subject {
  return { node: newHost(t), plugin: "loopback", conf, call: { ifName: "lo" } };
}

t.test("loopback: an ADD in which any system call fails leaves lo down", needsRoot, async (t) => {
  t.strictSame(failedAdds(loopback(t)), []);
});

t.test("loopback: DEL sets lo down after an ADD killed anywhere", needsRoot, async (t) => {
  t.strictSame(killedAdds(loopback(t)), []);
});

t.test("loopback: a DEL in which any system call fails sets lo down, or says that it did not", needsRoot, async (t) => {
  t.strictSame(brokenDels(loopback(t), { error: "EIO" }), []);
});

t.test("loopback: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(loopback(t), { signal: "KILL" }), []);
});
