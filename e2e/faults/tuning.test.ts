// tuning behind bridge, each system call of it failing or being its last.
import t from "tap";
import { newHost } from "../host.ts";
import { needsRoot } from "../needs.ts";
import { brokenDels, failedAdds, killedAdds, type Subject } from "./faults.ts";

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };

function tuning(t: Parameters<typeof newHost>[0]): Subject {
  const node = newHost(t);
  const bridge = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "br0", ipam };
  const { stdout: prevResult } = node.cni("bridge", "ADD", bridge);
  const wishes = { mtu: 1400, promisc: true, mac: "c2:11:22:33:44:55", txQLen: 77 };
  const conf = { cniVersion: "1.1.0", name: "net", type: "tuning", dataDir: "/var/lib/tuning", prevResult, ...wishes };
  return { node, plugin: "tuning", conf };
}

t.test("tuning: an ADD in which any system call fails leaves nothing", needsRoot, async (t) => {
  t.strictSame(failedAdds(tuning(t)), []);
});

t.test("tuning: DEL restores what an ADD killed anywhere has changed", needsRoot, async (t) => {
  t.strictSame(killedAdds(tuning(t)), []);
});

t.test("tuning: DEL does what a DEL killed anywhere has left", needsRoot, async (t) => {
  t.strictSame(brokenDels(tuning(t), { signal: "KILL" }), []);
});
