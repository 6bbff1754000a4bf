// Calls of runtimes that Debian 12 does not have, played to our plugins: STATUS of containerd 2, CHECK and GC of CRI-O at its start, the cache of
// multus. How Nomad and nerdctl ask for versions: e2e/called-alone.test.ts.
//
// The variables and configurations are those of libcni 1.3.0, which all of them have inside: STATUS and GC come with CNI_CONTAINERID, CNI_NETNS,
// CNI_IFNAME and CNI_ARGS empty instead of absent, name and version of the list stand in each plugin's configuration.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { cacheSamples } from "../lab/cache-samples.ts";
import { type Host, newHost, type Outcome, type Verb } from "../lab/host.ts";
import { needsRoot } from "../lab/needs.ts";
import { ourBin, ourTools } from "../lab/project.ts";

type Keys = Record<string, unknown>;

const plugins: readonly Keys[] = [
  {
    type: "bridge",
    bridge: "pods0",
    isGateway: true,
    ipMasq: true,
    ipam: { type: "host-local", ranges: [[{ subnet: "10.10.1.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] },
  },
  { type: "portmap", capabilities: { portMappings: true }, runtimeConfig: {} },
  { type: "firewall" },
];

/** A plugin's configuration, as libcni makes it of the list's. */
const confOf = (plugin: Keys, more: Keys = {}) => ({ cniVersion: "1.1.0", name: "pods", ...plugin, ...more });

/** Calls a verb that is about a network, not a container. */
const callNetwork = (node: Host, verb: Verb, plugin: Keys, more: Keys = {}): Outcome =>
  node.cni(String(plugin["type"]), verb, confOf(plugin, more), {
    environment: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_ARGS: "" },
  });

interface Pod {
  node: Host;
  container: number;
  result?: unknown;
}

/** As containerd's CRI service and CRI-O name a pod; the keys come in any order. */
const argsOf = (id: string) =>
  `K8S_POD_UID=uid-${id};IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${id};K8S_POD_INFRA_CONTAINER_ID=${id}`;

function call({ node, container }: Pod, verb: Verb, plugin: Keys, prevResult: unknown): Outcome {
  const more = prevResult === undefined ? {} : { prevResult };
  const args = argsOf(node.containers[container]?.id ?? "");
  return node.cni(String(plugin["type"]), verb, confOf(plugin, more), { container, args });
}

/** ADD of the list. @returns the pod with its result */
function add(t: Test, pod: Pod): Pod {
  let result: unknown;
  for (const plugin of plugins) {
    const { status, stdout } = call(pod, "ADD", plugin, result);
    t.equal(status, 0, JSON.stringify(stdout));
    result = stdout;
  }
  return { ...pod, result };
}

t.test("containerd 2: STATUS of each plugin decides whether the node is ready", needsRoot, async (t) => {
  const node = newHost(t);
  for (const plugin of [...plugins, { type: "loopback" }])
    t.strictSame(callNetwork(node, "STATUS", plugin), { status: 0, signal: null, stdout: "", stderr: "" });
  const [bridge = {}] = plugins;
  node.sh("touch /var/lib/file");
  const ipam = { ...(bridge["ipam"] as Keys), dataDir: "/var/lib/file" };
  t.match(callNetwork(node, "STATUS", bridge, { ipam }), {
    status: 1,
    stdout: { cniVersion: "1.1.0", code: 50, msg: /\/var\/lib\/file/ },
  });
  t.equal(node.sh("ip -br link show type bridge"), "", "and makes nothing");
});

t.test("containerd 2: keys of its capabilities that no plugin knows are passed over", needsRoot, async (t) => {
  const node = newHost(t);
  const runtimeConfig = {
    portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: "tcp", HostIP: "" }],
    "io.kubernetes.cri.pod-annotations": { "kubernetes.io/config.seen": "now" },
    dns: { Servers: ["192.0.2.53"], Searches: ["svc.cluster.local"], Options: ["ndots:5"] },
    cgroupPath: "/kubepods/burstable/pod1",
  };
  const [bridge = {}, portmap = {}] = plugins;
  const pod: Pod = { node, container: 0 };
  const { stdout } = call(pod, "ADD", { ...bridge, runtimeConfig }, undefined);
  t.match(call(pod, "ADD", { ...portmap, runtimeConfig }, stdout), { status: 0, stderr: "" });
  t.match(node.sh("iptables -t nat -S CNI-HOSTPORT-DNAT"), /--dports 8080/);
});

t.test(
  "CRI-O: at its start CHECK passes for running pods, and GC takes exactly the dead ones",
  needsRoot,
  async (t) => {
    const node = newHost(t, { containers: 3 });
    const pods = [0, 1].map((container) => add(t, { node, container }));
    const traces = () =>
      node.sh(`
      ip -o link show | grep -o 'cni pods .*'; iptables -t nat -S; iptables -S
      find /var/lib/cni/networks -name '10.*'`);
    const before = traces();
    add(t, { node, container: 2 });
    node.sh(`
    ip netns del ${node.containers[2]?.name}
    while [ $(ip -o link show type veth | wc -l) -gt 2 ]; do sleep 0.01; done`);

    for (const pod of pods)
      for (const plugin of plugins) t.match(call(pod, "CHECK", plugin, pod.result), { status: 0, stdout: "" });

    const alive = [0, 1].map((i) => ({ containerID: node.containers[i]?.id, ifname: "eth0" }));
    for (const plugin of plugins) {
      const more = { "cni.dev/attachments": alive, "cni.dev/valid-attachments": alive };
      t.strictSame(callNetwork(node, "GC", plugin, more), { status: 0, signal: null, stdout: "", stderr: "" });
    }
    t.equal(traces(), before);
    for (const pod of pods)
      for (const plugin of plugins) t.match(call(pod, "CHECK", plugin, pod.result), { status: 0, stdout: "" });
  },
);

t.test("multus: what its delegates attached is listed, and deleted when its pod is dead", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  const environment = { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" };
  const tool = (name: string, ...args: string[]) => node.runInside([join(ourTools, name), ...args], environment);
  const written = cacheSamples.find(({ writer }) => writer === "libcni-1.3.0-cni-1.0.0");
  if (written === undefined) throw new Error("there is an entry of libcni 1.3.0");
  for (const { id, path } of node.containers) {
    written.write(node, { id, netns: path });
    node.sh(`mkdir -p /var/lib/cni/multus/results && mv /var/lib/cni/results/* /var/lib/cni/multus/results`);
    node.write(`/var/lib/cni/multus/${id}`, JSON.stringify([{ Conf: { name: "net" }, IfnameRequest: "" }])); // its own file
  }
  const config = /"config":"([^"]*)"/.exec(
    readFileSync(join(node.varLib, `cni/multus/results/net-${node.containers[0]?.id}-eth0`), "utf8"),
  )?.[1];
  node.write("/var/lib/net.d/net.conflist", Buffer.from(config ?? "", "base64").toString());
  const listed = () =>
    (JSON.parse(tool("cnitool", "list", "--json").stdout) as { containerId: string; namespace: string }[]).map(
      ({ containerId, namespace }) => `${containerId} ${namespace}`,
    );
  t.strictSame(listed(), ["container-0 alive", "container-1 alive"]);
  node.sh(`ip netns del ${node.containers[1]?.name}`);
  t.strictSame(listed(), ["container-0 alive", "container-1 dead"]);
  t.match(tool("twill", "gc"), { status: 0, stdout: "net container-1 eth0: deleted\n" });
  t.strictSame(listed(), ["container-0 alive"]);
  t.match(node.sh("ls /var/lib/cni/multus"), /^container-0\ncontainer-1\nresults\n/, "its own files stay");
});
