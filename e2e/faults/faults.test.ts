// The enumerator tested on the Go plugins, whose leaks are known.
import t from "tap";
import { newHost } from "../host.ts";
import { needsRoot } from "../needs.ts";
import { goBin } from "../project.ts";
import { filesBelow } from "../snapshot.ts";
import { failedAdds, killedAdds, systemCalls, withoutRoundRobin } from "./faults.ts";

const ipam = { type: "host-local", subnet: "10.1.0.0/24" };
const conf = { cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br0", isGateway: true, ipam };

t.test("each system call of a run is learned once", needsRoot, async (t) => {
  const node = newHost(t, { bin: goBin });
  const calls = systemCalls({ node, plugin: "host-local", conf }, "ADD").map(({ name, nth }) => `${name} ${nth}`);
  t.equal(new Set(calls).size, calls.length);
  t.ok(calls.includes("flock 1") && calls.includes("write 1"), "sees the lock and the files");
  t.notOk(calls.includes("execve 1"));
});

t.test("finds the empty file that Go's host-local leaves when it is killed between two steps", needsRoot, async (t) => {
  const node = newHost(t, { bin: goBin });
  const look = () => withoutRoundRobin({ namespaces: {}, files: filesBelow(node.varLib) });
  const isWrite = ({ name }: { name: string }) => name === "write";
  const found = killedAdds({ node, plugin: "host-local", conf, look }, { only: isWrite });
  t.match(found[0], {
    fault: /^KILL in write 1: write\(.*container-0/,
    what: /after DEL: \+ files.*10\.1\.0\.\d+ 0644 $/,
  });
});

t.test("finds the veth pair that Go's bridge leaves when it fails", needsRoot, async (t) => {
  const node = newHost(t, { bin: goBin });
  const isPipe = ({ text }: { text: string }) => text.startsWith("pipe2("); // to start the IPAM plugin
  const found = failedAdds({ node, plugin: "bridge", conf }, { only: isPipe });
  t.ok(found.some(({ what }) => /after the failed ADD: \+ namespaces.*links\.veth/.test(what)));
  t.notOk(
    found.some(({ what }) => what.startsWith("after DEL")),
    "which DEL removes",
  );
});
