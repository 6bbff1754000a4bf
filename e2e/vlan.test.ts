// The vlan plugin on a kernel that has vlan links, as `ip` and `ping` see it. Its master is a veth whose other end is the outside, a
// namespace of its own.
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { needsKernel } from "./lab/needs.ts";

const needs = needsKernel("vlan");
const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const network = (keys: object = {}) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "vlan",
  master: "uplink",
  vlanId: 42,
  ipam,
  ...keys,
});

/** The second container is the outside, 10.1.0.1 in VLAN 42. */
function newNode(t: Parameters<typeof newHost>[0]): Host {
  const node = newHost(t, { containers: 2 });
  const outside = node.containers[1]?.name;
  node.sh(`
    ip link add uplink type veth peer name far netns ${outside}; ip link set uplink up
    ip -n ${outside} link set far up; ip -n ${outside} link add link far name far.42 type vlan id 42
    ip -n ${outside} address add 10.1.0.1/24 dev far.42; ip -n ${outside} link set far.42 up`);
  return node;
}

const linkIn = (node: Host, name = "eth0") => node.containers[0]?.run("ip", "-d", "link", "show", name).stdout ?? "";
const reservations = (node: Host) => node.run("sh", "-c", "ls /var/lib/cni/networks/net | grep '^10'").stdout;

t.test("vlan: the container is in the VLAN, CHECK sees it, DEL deletes it", needs, async (t) => {
  const node = newNode(t);
  node.sh("ip link add eth0 type veth; ip link set uplink mtu 1300"); // a host's eth0 does not matter
  const { status, stdout } = node.cni("vlan", "ADD", network());
  t.match(status, 0);
  t.match(linkIn(node), /mtu 1300.*vlan protocol 802\.1Q id 42/s);
  t.match(stdout, {
    interfaces: [{ name: "eth0", mac: /./, sandbox: node.containers[0]?.path }],
    ips: [{ address: "10.1.0.2/24", interface: 0 }],
  });
  t.equal(node.containers[0]?.run("ping", "-c1", "-W20", "10.1.0.1").status, 0, "it reaches the outside");

  const check = (keys: object) => node.cni("vlan", "CHECK", { ...network(keys), prevResult: stdout });
  t.match(check({}), { status: 0, stdout: "" });
  t.match(check({ vlanId: 43 }), { status: 1, stdout: { code: 999, msg: `"eth0" is in VLAN 42, not 43` } });
  t.match(check({ mtu: 1200 }), { status: 1, stdout: { code: 999, msg: `"eth0" has MTU 1300, not 1200` } });
  t.match(check({ master: "gone" }), { status: 1, stdout: { msg: `master "gone" is missing` } });

  t.match(node.cni("vlan", "STATUS", network()), { status: 0, stdout: "" });
  node.sh("ip link set uplink down");
  t.match(node.cni("vlan", "STATUS", network()), {
    status: 1,
    stdout: { code: 50, msg: 'master "uplink" is down, must be up' },
  });
  node.sh("ip link delete uplink");
  t.match(node.cni("vlan", "STATUS", network()), { status: 1, stdout: { code: 50, msg: /^failed to lookup master/ } });
  for (const again of ["once", "twice"])
    t.match(node.cni("vlan", "DEL", network({ linkInContainer: true })), { status: 0, stdout: "" }, again);
  t.equal(reservations(node), "");
});

t.test("vlan: an ADD that cannot be done leaves nothing, and says why", needs, async (t) => {
  const node = newNode(t);
  const [, outside] = node.containers;
  node.sh("ip link add link uplink name uplink.7 type vlan id 7");
  const routes = [{ dst: "192.0.2.0/24", gw: "203.0.113.1" }];
  const refused: [object, object][] = [
    [{ vlanId: 7 }, { code: 999, msg: `VLAN 7 of master "uplink" already exists`, details: /each VLAN only once/ }],
    [{ vlanId: 4095 }, { code: 7, msg: "invalid VLAN ID 4095 (must be between 0 and 4094 inclusive)" }],
    [{ vlanId: -1 }, { code: 7, msg: "invalid VLAN ID -1 (must be between 0 and 4094 inclusive)" }],
    [
      { master: "" },
      {
        code: 7,
        msg: `"master" field is required. It specifies the host interface name to create the VLAN for`,
      },
    ],
    [{ mtu: 9000 }, { code: 7, msg: "invalid MTU 9000, must be [0, master MTU(1500)]" }],
    [
      { master: "lo" },
      { code: 999, msg: /^the kernel refuses a vlan link "eth0" in /, details: /VLANs not supported/ },
    ],
    [{ ipam: { type: "nowhere" } }, { code: 999, msg: /failed to find plugin "nowhere" in path/ }],
    [{ ipam: { ...ipam, routes } }, { msg: `the kernel refuses route 192.0.2.0/24 via 203.0.113.1 on "eth0"` }],
  ];
  for (const [keys, stdout] of refused)
    t.match(node.cni("vlan", "ADD", network(keys)), { status: 1, stdout }, JSON.stringify(keys));
  node.sh("ip link set uplink down");
  t.match(node.cni("vlan", "ADD", network()), { status: 1, stdout: { msg: `master "uplink" is down, must be up` } });
  t.equal(reservations(node), "");
  t.equal(node.containers[0]?.sh("ip -o link show type vlan"), "");
  for (const vlanId of [0, 4094]) {
    const conf = network({ vlanId, master: "far", linkInContainer: true, ipam: {} });
    t.match(node.cni("vlan", "ADD", conf, { container: 1, ifName: `v${vlanId}` }), { status: 0 }, `VLAN ${vlanId}`);
    t.match(outside?.sh(`ip -d link show v${vlanId}`), new RegExp(`v${vlanId}@far.*id ${vlanId} `, "s"));
  }
});
