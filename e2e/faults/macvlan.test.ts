// macvlan, each system call of it failing or being its last.
import t from "tap";
import { newHost } from "../host.ts";
import { needsKernel } from "../needs.ts";
import { brokenDels, failedAdds, killedAdds, type Subject } from "./faults.ts";

const conf = {
  cniVersion: "1.1.0",
  name: "net",
  type: "macvlan",
  master: "uplink",
  ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] },
};
const needs = needsKernel("macvlan");

function macvlan(t: Parameters<typeof newHost>[0]): Subject {
  const node = newHost(t);
  node.sh("ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up");
  node.containers[0]?.sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad");
  return { node, plugin: "macvlan", conf };
}

t.test("macvlan: an ADD in which any system call fails leaves nothing", needs, async (t) => {
  t.strictSame(failedAdds(macvlan(t)), []);
});

t.test("macvlan: DEL removes what an ADD killed anywhere has made", needs, async (t) => {
  t.strictSame(killedAdds(macvlan(t)), []);
});

t.test("macvlan: a DEL in which any system call fails deletes all, or says that it did not", needs, async (t) => {
  t.strictSame(brokenDels(macvlan(t), { error: "EIO" }), []);
});

t.test("macvlan: DEL does what a DEL killed anywhere has left", needs, async (t) => {
  t.strictSame(brokenDels(macvlan(t), { signal: "KILL" }), []);
});
