// Directories in which plugins keep a file for each attachment, with all that may lie there besides: nobody's file stops anybody, and stays.
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";
import { ourTools } from "./lab/project.ts";

/** What a shell makes of `$1`, a path. */
const oddities = [
  "mkdir -p $1.d$2",
  "mkfifo $1.fifo$2",
  "ln -s $1.loop$2 $1.loop$2",
  "ln -s /dev/zero $1.zero$2",
  "printf '\\355\\240\\200' > $1.surrogate$2",
  "printf '{\"name\": ' > $1.torn$2",
];
const fill = (node: Host, directory: string, ending = "") =>
  node.sh(`mkdir -p ${directory}; set -- ${directory}/odd ${JSON.stringify(ending)}; ${oddities.join("; ")}`);
const listing = (node: Host, directory: string) => node.sh(`ls ${directory}`);

const plugins = {
  tuning: { dir: "/var/lib/tuning", keys: { dataDir: "/var/lib/tuning", mtu: 1400 }, ending: ".json", isChained: true },
  "host-device": {
    dir: "/var/lib/hd/net",
    keys: { dataDir: "/var/lib/hd", device: "dev0" },
    ending: "",
    isChained: false,
  },
  flannel: {
    dir: "/var/lib/flannel",
    keys: { dataDir: "/var/lib/flannel", subnetFile: "/var/lib/subnet.env" },
    ending: "",
    isChained: false,
  },
};
const prepare = `ip link add dev0 type veth peer name far0
printf 'FLANNEL_NETWORK=10.1.0.0/16\\nFLANNEL_SUBNET=10.1.3.1/24\\nFLANNEL_MTU=1450\\nFLANNEL_IPMASQ=false\\n' > /var/lib/subnet.env`;
const bridge = {
  cniVersion: "1.1.0",
  name: "net",
  type: "bridge",
  ipam: { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24" }]] },
};

for (const [type, { dir, keys, ending, isChained }] of Object.entries(plugins)) {
  t.test(`${type}: what lies among its records stops no verb, and stays`, needsRoot, async (t) => {
    const node = newHost(t);
    node.sh(prepare);
    fill(node, dir, ending);
    const before = listing(node, dir);
    const { stdout: prevResult } = isChained ? node.cni("bridge", "ADD", bridge) : { stdout: undefined };
    const conf = { cniVersion: "1.1.0", name: "net", type, ...keys, ...(isChained && { prevResult }) };
    const call = { timeoutMs: 20_000 };
    for (const verb of ["ADD", "DEL", "ADD", "GC", "DEL"] as const) {
      const more = verb === "GC" ? { "cni.dev/valid-attachments": [] } : {};
      const { status, stdout, stderr, signal } = node.cni(type, verb, { ...conf, ...more }, call);
      t.equal(status, 0, `${verb}: ${signal} ${JSON.stringify(stdout)}`);
      if (verb === "GC")
        t.match(
          stderr,
          new RegExp(`^${type}: network "net": ${dir}/odd\\.\\S+ \\(and [45] more\\) is not a record`, "m"),
        );
    }
    t.equal(listing(node, dir), before);
  });
}

t.test("flannel: a subnet file that is none is an error that names it", needsRoot, async (t) => {
  const node = newHost(t);
  for (const make of ["mkdir", "mkfifo"]) {
    node.sh(`rm -rf /var/lib/subnet.env; ${make} /var/lib/subnet.env`);
    const conf = { cniVersion: "1.1.0", name: "net", type: "flannel", subnetFile: "/var/lib/subnet.env" };
    t.match(node.cni("flannel", "ADD", conf, { timeoutMs: 20_000 }).stdout, {
      code: 6,
      msg: /^\/var\/lib\/subnet\.env is a/,
    });
  }
});

t.test("a directory of configurations is read with whatever lies in it", needsRoot, async (t) => {
  const node = newHost(t);
  fill(node, "/var/lib/net.d", ".conflist");
  const list = { cniVersion: "1.1.0", name: "net", plugins: [{ type: "loopback" }] };
  node.write("/var/lib/net.d/zz.conflist", JSON.stringify(list));
  const environment = { NETCONFPATH: "/var/lib/net.d", CNI_PATH: `${ourTools}/../plugins` };
  const [container] = node.containers;
  const { status, stdout, stderr } = node.runInside(
    [`${ourTools}/cnitool`, "add", "net", container?.path ?? ""],
    environment,
  );
  t.equal(status, 0, `${stdout} ${stderr}`);
  t.match(stderr, /odd\.fifo\.conflist is a FIFO or a device, must be a file/);
  t.match(stderr, /odd\.loop\.conflist cannot be read \(ELOOP\)/);
  const reload = node.runInside([`${ourTools}/twill`, "reload"], environment);
  t.equal(reload.status, 0, reload.stderr);
});

t.test("a runtime's cache is read with whatever lies in it", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  const [one, two] = node.containers.map(({ path }) => path);
  const list = {
    cniVersion: "1.1.0",
    name: "net",
    plugins: [bridge, { type: "portmap", capabilities: { portMappings: true } }],
  };
  node.write("/var/lib/net.d/net.conflist", JSON.stringify(list));
  const cnitool = (...words: string[]) =>
    node.runInside(["timeout", "20", `${ourTools}/cnitool`, ...words], {
      NETCONFPATH: "/var/lib/net.d",
      CNI_PATH: `${ourTools}/../plugins`,
      CAP_ARGS: JSON.stringify({ portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] }),
    });
  t.equal(cnitool("add", "net", one ?? "").status, 0);
  fill(node, "/var/lib/cni/results", "-one-eth0");
  const before = listing(node, "/var/lib/cni/results");

  const listed = cnitool("list");
  t.equal(listed.status, 1);
  t.match(listed.stdout, /^net .* alive$/m);
  for (const kind of ["fifo", "loop", "zero", "surrogate", "torn"])
    t.match(listed.stderr, new RegExp(`damaged /var/lib/cni/results/odd\\.${kind}-one-eth0: `));
  t.notMatch(listed.stderr, /odd\.d-/, "a folder is nobody's entry");
  t.equal(cnitool("gc", "--dead", "net", "x").status, 0, "they are not about this network");
  t.match(node.runInside(["timeout", "20", `${ourTools}/twill`, "reload"]), { status: 1, stdout: /^1 attachments, / });
  t.match(cnitool("add", "net", two ?? ""), { status: 1, stderr: /port 8080\/tcp is held by container / });
  t.equal(listing(node, "/var/lib/cni/results"), before);
});
