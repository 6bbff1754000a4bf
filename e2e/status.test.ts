// STATUS has one rule (docs/errors.md): it fails when every ADD of the network would, until somebody changes something on the
// node. Runtimes make the whole node unready of it, so what fails some ADDs only is a line on stderr.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { cacheSamples } from "./lab/cache-samples.ts";
import { newHost } from "./lab/host.ts";
import { needsKernel, needsRoot } from "./lab/needs.ts";

const network = (type: string, keys: object = {}) => ({ cniVersion: "1.1.0", name: "net", type, ...keys });
const ipam = { type: "static", addresses: [{ address: "10.1.0.2/24" }] };

/** With how `ip` makes a link of that kind. "uplink" is a link of the host. */
const kinds: Record<string, { keys: object; command: string }> = {
  bridge: { keys: { ipam }, command: "ip link add try0 type bridge" },
  ptp: { keys: { ipam }, command: "ip link add try0 type veth" },
  dummy: { keys: { ipam }, command: "ip link add try0 type dummy" },
  macvlan: { keys: { master: "uplink" }, command: "ip link add link uplink name try0 type macvlan" },
  ipvlan: { keys: { master: "uplink" }, command: "ip link add link uplink name try0 type ipvlan" },
  vlan: { keys: { master: "uplink", vlanId: 5 }, command: "ip link add link uplink name try0 type vlan id 5" },
  vrf: { keys: { vrfname: "blue" }, command: "ip link add try0 type vrf table 10" },
  bandwidth: { keys: { egressRate: 8000, egressBurst: 80000 }, command: "ip link add try0 type ifb" },
};

for (const [plugin, { keys, command }] of Object.entries(kinds)) {
  t.test(`${plugin}: STATUS tells whether the kernel has the kind of link, and makes none`, needsRoot, async (t) => {
    const node = newHost(t);
    node.sh("ip link add uplink type veth peer name far; ip link set uplink up");
    const links = () => node.sh("ip -o link");
    const before = links();
    const { status, stdout } = node.cni(plugin, "STATUS", network(plugin, keys));
    t.equal(links(), before);
    const msg = /^this kernel cannot create links of kind \w+$/;
    const refusal = { status: 1, stdout: { code: 50, msg, details: /To fix: load the module/ } };
    const hasKind = node.run("sh", "-c", command).status === 0;
    t.match({ status, stdout }, hasKind ? { status: 0, stdout: "" } : refusal);
  });
}

for (const [where, need] of [
  ["here", needsRoot],
  ["on a kernel that can", needsKernel("vlan_filtering")],
] as const) {
  t.test(`bridge: STATUS tells whether the kernel can filter VLANs, and makes no link: ${where}`, need, async (t) => {
    const node = newHost(t);
    const links = () => node.sh("ip -o link");
    const before = links();
    const filters = { vlan: 5, vlanTrunk: [{ id: 5 }] };
    const outcomes = Object.entries(filters).map(([key, value]) =>
      node.cni("bridge", "STATUS", network("bridge", { ipam, [key]: value })),
    );
    t.match(node.cni("bridge", "STATUS", network("bridge", { ipam })), { status: 0 }, "without VLANs");
    t.equal(links(), before);
    const canFilter = node.run("sh", "-c", "ip link add try0 type bridge vlan_filtering 1").status === 0;
    const msg = 'this kernel cannot create bridge "cni0" with VLAN filtering';
    const refusal = { status: 1, stdout: { code: 50, msg, details: /CONFIG_BRIDGE_VLAN_FILTERING/ } };
    for (const outcome of outcomes) t.match(outcome, canFilter ? { status: 0, stdout: "" } : refusal);
  });
}

/** A kernel without nf_tables: no netlink socket of that protocol. */
const withoutNetfilter = [
  ...["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=socket"],
  ...["-e", "inject=socket:error=EPROTONOSUPPORT"],
];

t.test("without nf_tables: firewall fails every ADD, portmap only those with ports", needsRoot, async (t) => {
  const node = newHost(t);
  const under = withoutNetfilter;
  const msg = "allowing containers is not possible: the kernel's nf_tables does not answer";
  t.match(node.cni("firewall", "STATUS", network("firewall"), { under }), { status: 1, stdout: { code: 50, msg } });
  const { status, stdout, stderr } = node.cni("portmap", "STATUS", network("portmap"), { under });
  t.match({ status, stdout }, { status: 0, stdout: "" });
  t.match(stderr, /^portmap: network "net": STATUS: publishing ports is not possible: .*EPROTONOSUPPORT/);
  for (const plugin of ["firewall", "portmap"])
    t.match(node.cni(plugin, "STATUS", network(plugin)), { status: 0, stdout: "", stderr: "" }, plugin);
});

t.test("macvlan: a host that never had a route has no master, and STATUS and ADD say so", needsRoot, async (t) => {
  const node = newHost(t);
  const says = { msg: "no default route interface found", details: /there is no default route on the host/ };
  t.match(node.cni("macvlan", "STATUS", network("macvlan")), { status: 1, stdout: { code: 50, ...says } });
  t.match(node.cni("macvlan", "ADD", network("macvlan")), { status: 1, stdout: { code: 999, ...says } });
});

const fullRange = {
  bridge: { bridge: "br0" },
  ptp: {},
};
for (const [plugin, keys] of Object.entries(fullRange)) {
  t.test(`${plugin}: a full range does not make the node unready, unless the key says so`, needsRoot, async (t) => {
    const node = newHost(t);
    const conf = (own: object = {}) =>
      network(plugin, { ...keys, ipam: { type: "host-local", ranges: [[{ subnet: "10.22.0.0/30" }]], ...own } });
    t.match(node.cni(plugin, "STATUS", conf()), { status: 0, stdout: "", stderr: "" });
    t.match(node.cni(plugin, "ADD", conf()), { status: 0 });
    const { status, stdout, stderr } = node.cni(plugin, "STATUS", conf());
    t.match({ status, stdout }, { status: 0, stdout: "" });
    const exhausted = "no IP addresses available in range set: 10.22.0.1-10.22.0.2";
    t.match(stderr, `host-local: network "net": STATUS: ADD fails until an address is free: ${exhausted}`);
    t.match(node.cni(plugin, "STATUS", conf({ failStatusWhenFull: true })), {
      status: 1,
      stdout: { code: 50, msg: exhausted },
    });
    const enlarge = 'enlarge the range in "ipam", or delete containers';
    const advice = () => / To fix: (.*)\n/.exec(node.cni(plugin, "STATUS", conf()).stderr)?.[1];
    t.equal(advice(), enlarge, "who has no cached result may live");
    const [id = ""] = node.sh("cat /var/lib/cni/networks/net/10.22.0.2").split(/\s+/);
    const cached = cacheSamples.find(({ writer }) => writer === "libcni-1.3.0-cni-1.0.0");
    cached?.write(node, { id, netns: node.containers[0]?.path ?? "" });
    t.equal(advice(), enlarge, "who lives keeps it");
    cached?.write(node, { id, netns: "/run/netns/gone" });
    t.equal(advice(), `twill gc; or ${enlarge}`);
    t.match(node.cni(plugin, "DEL", conf()), { status: 0 });
    t.match(node.cni(plugin, "STATUS", conf({ failStatusWhenFull: true })), { status: 0, stderr: "" });
    t.ok(readdirSync(join(node.varLib, "cni/networks/net")).length > 0, "host-local was there");
  });
}

/** Plugins that write a file in each ADD, with the keys that make them do so. */
const writers: Record<string, object> = {
  flannel: { subnetFile: "/var/lib/subnet.env" },
  "host-device": { device: "uplink", dataDir: "/var/lib/cni/host-device" },
  tuning: { mtu: 1400, dataDir: "/var/lib/cni/tuning" },
  bridge: { bridge: "br0", ipam: { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24" }]] } },
};

for (const [plugin, keys] of Object.entries(writers)) {
  t.test(`${plugin}: STATUS fails where its files cannot be written`, needsRoot, async (t) => {
    const node = newHost(t);
    node.sh("ip link add uplink type veth peer name far");
    node.write(
      "/var/lib/subnet.env",
      "FLANNEL_NETWORK=10.9.0.0/16\nFLANNEL_SUBNET=10.9.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n",
    );
    const conf = network(plugin, keys);
    t.match(node.cni(plugin, "STATUS", conf), { status: 0, stdout: "" });
    const full = "mount -t tmpfs -o size=4k none /var/lib/cni; dd if=/dev/zero of=/var/lib/cni/filler 2> /dev/null";
    for (const [prepare, errno] of [
      [full, "ENOSPC"],
      ["mount -t tmpfs -o ro none /var/lib/cni", "EROFS"],
    ] as const) {
      const under = ["sh", "-c", `${prepare}; exec "$0"`];
      const details = /To fix: check that \/var\/lib\/cni\S* is writable and its file system is not full/;
      const stdout = { code: 50, msg: new RegExp(`^no .* can be \\w+: .*: ${errno}$`), details };
      t.match(node.cni(plugin, "STATUS", conf, { under }), { status: 1, stdout });
    }
  });
}

t.test("host-local: a resolvConf that is missing fails STATUS, as it does every ADD", needsRoot, async (t) => {
  const node = newHost(t);
  const conf = network("host-local", {
    ipam: { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24" }]], resolvConf: "/var/lib/resolv.conf" },
  });
  const refusal = /^"resolvConf" names "\/var\/lib\/resolv.conf", which cannot be read: /;
  t.match(node.cni("host-local", "ADD", conf), { status: 1, stdout: { code: 5, msg: refusal } });
  t.match(node.cni("host-local", "STATUS", conf), { status: 1, stdout: { code: 50, msg: refusal } });
  node.write("/var/lib/resolv.conf", "nameserver 10.1.0.1\n");
  t.match(node.cni("host-local", "STATUS", conf), { status: 0, stdout: "" });
});
