// The enumerator tested on the Go plugins, whose leaks are known; and whether every plugin's faults are tested.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import t from "tap";
import { newHost } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";
import { goBin, ourTools } from "../lab/project.ts";
import { filesBelow } from "../lab/snapshot.ts";
import { failedAdds, killedAdds, runWithFault, type SystemCall, systemCalls, withoutRoundRobin } from "./faults.ts";
import { subjects } from "./subjects.ts";

const ipam = { type: "host-local", subnet: "10.1.0.0/24" };
const conf = { cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br0", isGateway: true, ipam };
const those = (chosen: (systemCall: SystemCall) => boolean) => (all: readonly SystemCall[]) => all.filter(chosen);

t.test("every plugin is in the table", needsRoot, async (t) => {
  const { stdout } = spawnSync(join(ourTools, "twill"), ["--plugins"], { encoding: "utf8" });
  const inTable = new Set(Object.keys(subjects).map((name) => name.split(",")[0]));
  t.strictSame([...inTable].sort(), stdout.split("\n").filter(Boolean).sort());
});

t.test("each system call of a run is learned once, and each can be its last", needsRoot, async (t) => {
  const node = newHost(t, { bin: goBin });
  const subject = { node, plugin: "loopback", conf: { cniVersion: "1.0.0", name: "net", type: "loopback" } };
  const calls = systemCalls({ node, plugin: "host-local", conf }, "ADD").map(({ name, nth }) => `${name} ${nth}`);
  t.equal(new Set(calls).size, calls.length);
  t.ok(calls.includes("flock 1") && calls.includes("write 1"), "sees the lock and the files");
  t.notOk(calls.includes("execve 1"));
  const loopback = { ...subject, node: newHost(t), call: { ifName: "lo" } };
  const missed = systemCalls(loopback, "ADD").filter(
    (systemCall) => !runWithFault(loopback, "ADD", systemCall, { signal: "KILL" }).isHit,
  );
  t.strictSame(missed, []);
});

t.test("finds the empty file that Go's host-local leaves when it is killed between two steps", needsRoot, async (t) => {
  const node = newHost(t, { bin: goBin });
  const look = () => withoutRoundRobin({ namespaces: {}, files: filesBelow(node.varLib) });
  const isWrite = ({ name }: SystemCall) => name === "write";
  const found = killedAdds({ node, plugin: "host-local", conf, look }, those(isWrite));
  t.match(found[0], {
    fault: /^KILL in write 1 of ADD: write\(.*container-0/,
    what: /after DEL: \+ files.*10\.1\.0\.\d+ 0644 $/,
  });
});

t.test("finds the veth pair that Go's bridge leaves when it fails", needsRoot, async (t) => {
  const node = newHost(t, { bin: goBin });
  const isPipe = ({ text }: SystemCall) => text.startsWith("pipe2("); // to start the IPAM plugin
  const found = failedAdds({ node, plugin: "bridge", conf }, those(isPipe));
  t.ok(found.some(({ what }) => /after the failed ADD: \+ namespaces.*links\.veth/.test(what)));
  t.notOk(
    found.some(({ what }) => what.startsWith("after DEL")),
    "which DEL removes",
  );
});
