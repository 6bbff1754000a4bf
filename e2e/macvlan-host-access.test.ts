// The macvlan plugin's `hostAccess`: the host and its own containers reach each other. Seen with `ping` and `ip`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { needsKernel } from "./lab/needs.ts";

const needs = needsKernel("macvlan");
const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };
const network = (keys: object = {}) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "macvlan",
  master: "uplink",
  hostAccess: true,
  ipam,
  ...keys,
});

/** A host with addresses on the network of its uplink, whose other end is nobody's; and an address elsewhere, which comes first. */
function newNode(t: Parameters<typeof newHost>[0]): Host {
  const node = newHost(t, { containers: 2 });
  node.sh(`
    ip link add first type veth peer name first2; ip link set first up; ip link set first2 up
    ip address add 172.31.0.1/16 dev first
    ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up
    ip address add 10.1.0.250/24 dev uplink; ip address add fd00:1::250/64 dev uplink nodad`);
  return node;
}

const shims = (node: Host) => node.sh("ls /sys/class/net").match(/^mvh.*$/gm) ?? [];
const routes = (node: Host) => node.sh("ip route; ip -6 route").match(/^(?!fe80)\S+ dev mvh\S+ /gm) ?? [];
const settled = (node: Host, container: number) => node.cni("macvlan", "ADD", network(), { container });

t.test("macvlan: with hostAccess host and containers reach each other, in both families", needs, async (t) => {
  const node = newNode(t);
  const before = node.snapshot().namespaces[node.name];
  const [one, two] = [0, 1].map((container) => settled(node, container));
  t.match([one?.status, two?.status], [0, 0]);
  t.equal(shims(node).length, 1, "one link for both");
  for (const address of ["10.1.0.2", "10.1.0.3", "fd00:1::2", "fd00:1::3"])
    t.equal(node.run("ping", "-c1", "-W5", address).status, 0, `host to ${address}`);
  for (const { name, run } of node.containers) {
    run("ip", "neigh", "flush", "all");
    for (const address of ["10.1.0.250", "fd00:1::250"])
      t.equal(run("ping", "-c1", "-W5", address).status, 0, `${name} to ${address}`);
  }
  t.match(node.sh("ip route get 10.1.0.2"), /src 10\.1\.0\.250/, "from the address that containers can answer to");
  t.match(node.sh(`ip -d link show ${shims(node)}`), /alias the host's access to network net/);

  const check = () => node.cni("macvlan", "CHECK", { ...network(), prevResult: one?.stdout });
  t.match(check(), { status: 0, stdout: "" });
  node.sh("ip route delete 10.1.0.2");
  t.match(check(), { status: 1, stdout: { msg: `the host has no route to 10.1.0.2, which "hostAccess" needs` } });

  for (const again of ["once", "twice"]) t.match(node.cni("macvlan", "DEL", network()), { status: 0 }, again);
  t.equal(routes(node).length, 2, "the other container's are left");
  t.equal(node.run("ping", "-c1", "-W5", "10.1.0.3").status, 0);
  t.match(node.cni("macvlan", "DEL", network(), { container: 1, environment: { CNI_NETNS: "" } }), { status: 0 });
  node.containers[1]?.sh("ip link delete eth0");
  t.strictSame(node.snapshot().namespaces[node.name], before, "the last one takes the link away");
});

t.test("macvlan: a DEL that comes late leaves the next container's way", needs, async (t) => {
  const node = newNode(t);
  const conf = network({ ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/30" }]] } }); // has one address
  node.cni("macvlan", "ADD", conf, { containerId: "old" });
  node.cni("macvlan", "DEL", conf, { containerId: "old" });
  t.match(node.cni("macvlan", "ADD", conf, { containerId: "new" }), { stdout: { ips: [{ address: "10.1.0.2/30" }] } });
  const before = routes(node);
  t.equal(before.length, 1);
  t.match(node.cni("macvlan", "DEL", conf, { containerId: "old", environment: { CNI_NETNS: "" } }), { status: 0 });
  t.strictSame(routes(node), before);
});

t.test("macvlan: GC takes the ways of containers that are gone, and of no other network", needs, async (t) => {
  const node = newNode(t);
  const other = { name: "other", ipam: { type: "host-local", ranges: [[{ subnet: "10.2.0.0/24" }]] } };
  settled(node, 0);
  settled(node, 1);
  node.cni("macvlan", "ADD", network(other), { ifName: "eth1" });
  t.equal(shims(node).length, 2, "a network has its own");
  const gc = (valid: object[], keys: object = {}) =>
    node.cni("macvlan", "GC", network({ "cni.dev/valid-attachments": valid, hostAccess: false, ...keys }));
  t.match(gc([{ containerID: "container-1", ifname: "eth0" }]), { status: 0 });
  t.equal(routes(node).length, 3);
  t.match(node.sh("ip route"), /^10\.1\.0\.3 dev mvh/m);
  t.match(gc([]), { status: 0 });
  t.match(node.sh("ip route"), /^10\.2\.0\.2 dev mvh/m);
  t.equal(shims(node).length, 1);
  t.match(gc([], other), { status: 0 });
  t.strictSame(shims(node), []);
});

t.test("macvlan: hostAccess at once for many containers, and none is lost", needs, async (t) => {
  const node = newHost(t, { containers: 6 });
  node.sh("ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up");
  const conf = network({ ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] } });
  const all = (verb: "ADD" | "DEL", some: readonly number[]) =>
    some.map((container) => node.cniAtOnce("macvlan", verb, conf, { container }));
  t.match(await Promise.all(all("ADD", [0, 1, 2])), [{ status: 0 }, { status: 0 }, { status: 0 }]);
  t.equal(routes(node).length, 3);
  await Promise.all([...all("DEL", [0, 1, 2]), ...all("ADD", [3, 4, 5])]);
  t.equal(routes(node).length, 3, "of those that came while the others went");
  await Promise.all(all("DEL", [3, 4, 5]));
  t.strictSame(shims(node), []);
});

t.test("macvlan: hostAccess waits for whoever has the lock of the host's namespace", needs, async (t) => {
  const node = newNode(t);
  const holder = spawn("flock", [node.path, "sh", "-c", "echo held; exec cat"], { stdio: ["pipe", "pipe", "ignore"] });
  t.teardown(() => holder.kill("SIGKILL"));
  await once(holder.stdout, "data");
  const conf = network({ ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] } });
  const added = node.cniAtOnce("macvlan", "ADD", conf);
  const until = Date.now() + 30_000;
  while (!/10\.1\.0\.2/.test(node.containers[0]?.run("ip", "address", "show", "eth0").stdout ?? "")) {
    if (Date.now() > until) throw new Error("the container never got its address");
    await setImmediate();
  }
  t.strictSame(shims(node), [], "the container is ready, the host's part waits");
  holder.stdin.end();
  t.match(await added, { status: 0 });
  t.equal(routes(node).length, 1);
});

t.test(
  "macvlan: hostAccess with what it cannot be is refused, and a failed ADD leaves nothing on the host",
  needs,
  async (t) => {
    const node = newNode(t);
    const before = node.snapshot().namespaces;
    for (const keys of [{ mode: "private" }, { linkInContainer: true }, { ipam: undefined }]) {
      t.match(node.cni("macvlan", "ADD", network(keys)), {
        status: 1,
        stdout: { code: 7, msg: "hostAccess needs mode bridge, a master on the host, and ipam" },
      });
    }
    const name = "mvh"; // a link that only looks like one
    node.sh(`ip link add ${name}0 type veth peer name ${name}1`);
    t.match(settled(node, 0), { status: 0 });
    t.match(node.cni("macvlan", "DEL", network()), { status: 0 });
    node.sh(`ip link delete ${name}0`);
    t.strictSame(node.snapshot().namespaces, before);
  },
);
