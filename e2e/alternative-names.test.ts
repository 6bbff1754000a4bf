// Links that configurations name by an alternative name (`ip link property add dev eth0 altname …`), short and longer than a name of a link
// can be: every key that looks a link up finds it, and results have the link's name.
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { type Feature, needsKernel } from "./lab/needs.ts";

const longest = `a-name-of-${"x".repeat(117)}`;
const names = ["other", longest];

interface Row {
  plugin: string;
  /** The key that names the link. */
  key: string;
  keys?: object;
  /** Makes "link" on the host or in the container. */
  made: string;
  inContainer?: boolean;
  needs?: readonly Feature[];
  /** Called behind bridge. */
  isChained?: boolean;
  /** What the result has of the link. */
  interfaces?: object[];
}

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const veth = "ip link add link0 type veth peer name far; ip link set link0 up; ip link set far up";
const rows: Row[] = [
  {
    plugin: "bridge",
    key: "bridge",
    keys: { isDefaultGateway: true, ipMasq: true },
    made: "ip link add link0 type bridge; ip link set link0 up",
    interfaces: [{ name: "link0" }, {}, {}],
  },
  { plugin: "macvlan", key: "master", made: veth, needs: ["macvlan"] },
  {
    plugin: "macvlan",
    key: "master",
    keys: { linkInContainer: true },
    made: veth,
    inContainer: true,
    needs: ["macvlan"],
  },
  { plugin: "ipvlan", key: "master", made: veth, needs: ["ipvlan"] },
  { plugin: "vlan", key: "master", keys: { vlanId: 5 }, made: veth, needs: ["vlan"] },
  { plugin: "host-device", key: "device", keys: { dataDir: "/var/lib/host-device" }, made: veth },
  { plugin: "tap", key: "bridge", made: "ip link add link0 type bridge", inContainer: true },
  {
    plugin: "vrf",
    key: "vrfname",
    made: "ip link add link0 type vrf table 5; ip link set link0 up",
    inContainer: true,
    isChained: true,
    needs: ["vrf"],
  },
];

for (const { plugin, key, keys, made, inContainer = false, needs = [], isChained = false, interfaces } of rows) {
  const place = inContainer ? " in the container" : "";
  t.test(`${plugin}: "${key}" finds a link${place} by an alternative name`, needsKernel(...needs), async (t) => {
    for (const name of names) {
      const node = newHost(t);
      const holder = inContainer ? node.containers[0] : node;
      holder?.sh(`${made}; ip link property add dev link0 altname ${name}`);
      const prevResult = isChained ? bridged(node) : undefined;
      const conf = { cniVersion: "1.1.0", name: "net", type: plugin, ipam, [key]: name, ...keys };
      const added = node.cni(plugin, "ADD", { ...conf, prevResult });
      t.match(added, { status: 0, ...(interfaces && { stdout: { interfaces } }) }, `ADD with ${name.length} bytes`);
      t.match(node.cni(plugin, "CHECK", { ...conf, prevResult: added.stdout }), { status: 0, stdout: "" }, "CHECK");
      t.match(node.cni(plugin, "STATUS", conf), { status: 0, stdout: "" }, "STATUS");
      t.match(node.cni(plugin, "DEL", { ...conf, prevResult: added.stdout }), { status: 0, stdout: "" }, "DEL");
      if (plugin !== "vrf") t.match(holder?.sh("ip -o link show dev link0"), name, "the link keeps it");
    }
  });

  t.test(`${plugin}: a "${key}"${place} that no link has is refused in words`, needsKernel(...needs), async (t) => {
    const node = newHost(t);
    const prevResult = isChained ? bridged(node) : undefined;
    const conf = { cniVersion: "1.1.0", name: "net", type: plugin, ipam, ...keys, prevResult };
    for (const [name, codes] of [
      [longest, [7, 999]],
      [`${longest}x`, [7]],
    ] as const) {
      const { status, stdout } = node.cni(plugin, "ADD", { ...conf, [key]: name });
      const { code, details } = stdout as { code: number; details: string };
      t.ok(status === 1 && codes.some((one) => one === code), `status ${status}, code ${code}`);
      t.match(details, /To fix: (?!this should not happen)/);
    }
  });
}

/** Attaches the container by bridge. @returns its result */
function bridged(node: Host): unknown {
  const conf = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "br0", ipam };
  const { status, stdout } = node.cni("bridge", "ADD", conf);
  if (status !== 0) throw new Error(JSON.stringify(stdout));
  return stdout;
}
