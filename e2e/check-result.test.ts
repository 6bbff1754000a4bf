// CHECK compares what a prevResult means, not how it is written: the namespace by whatever path leads to it, a route whose gateway says that
// there is none.
import { spawn } from "node:child_process";
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { needsKernel, needsRoot } from "./lab/needs.ts";

const routes = [
  { dst: "192.0.2.0/24", gw: "0.0.0.0" },
  { dst: "198.51.100.0/24", gw: "10.1.0.1" },
  { dst: "2001:db8::/32", gw: "::" },
];
const ipam = { type: "static", addresses: [{ address: "10.1.0.5/24" }, { address: "fd00:1::5/64" }], routes };
const conf = (type: string, keys: object = {}) => ({ cniVersion: "1.1.0", name: "net", type, ipam, ...keys });
const bridge = conf("bridge", { bridge: "br0" });

/** ADD. @returns its result */
function attach(node: Host, given: { type: string }): object {
  const { status, stdout } = node.cni(given.type, "ADD", given);
  if (status !== 0) throw new Error(JSON.stringify(stdout));
  return stdout as object;
}

t.test("a route with an unspecified gateway has none, for ADD and CHECK", needsKernel("macvlan"), async (t) => {
  const node = newHost(t);
  node.sh("ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up");
  for (const given of [bridge, conf("macvlan", { master: "uplink" }), conf("tap")]) {
    const prevResult = attach(node, given);
    t.match(node.containers[0]?.sh("ip route show 192.0.2.0/24"), /^192\.0\.2\.0\/24 dev eth0/);
    t.match(node.containers[0]?.sh("ip -6 route show 2001:db8::/32"), /^2001:db8::\/32 dev eth0/);
    t.match(node.cni(given.type, "CHECK", { ...given, prevResult }), { status: 0, stdout: "" }, given.type);
    node.containers[0]?.sh("ip route del 192.0.2.0/24");
    t.match(node.cni(given.type, "CHECK", { ...given, prevResult }), { status: 1 }, `${given.type} misses the route`);
    t.match(node.cni(given.type, "DEL", given), { status: 0 });
  }
});

t.test("CHECK knows the namespace by every path that leads to it, and by no other", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  const [container, other] = node.containers;
  const prevResult = attach(node, bridge);
  const inside = spawn("ip", ["netns", "exec", container?.name ?? "", "sleep", "60"]);
  t.teardown(() => inside.kill());
  const check = (path = "", given: object = bridge, plugin = "bridge") =>
    node.cni(plugin, "CHECK", { ...given, prevResult }, { environment: { CNI_NETNS: path } });
  await entered(inside.pid ?? 0, container?.name ?? "");
  for (const path of [container?.path, `/var/run/netns/${container?.name}`, `/proc/${inside.pid}/ns/net`])
    t.match(check(path), { status: 0, stdout: "" }, String(path));
  t.match(check(other?.path), {
    status: 1,
    stdout: { code: 999, msg: /^prevResult has no interface "eth0" with sandbox/ },
  });
});

/** Waits until the process is in the namespace: `ip` enters it before it runs the command. */
async function entered(pid: number, name: string): Promise<void> {
  const { statSync } = await import("node:fs");
  while (statSync(`/proc/${pid}/ns/net`).ino !== statSync(`/run/netns/${name}`).ino) await new Promise(setImmediate);
}
