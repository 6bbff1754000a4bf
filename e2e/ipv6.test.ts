// IPv6 addresses where the MTU, the host or the kernel is not made for them: refused in words, or made so on links of our own.
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { type Need, needsKernel, needsRoot } from "./lab/needs.ts";

const ipam = { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd00:9::/64" }]] };
const network = (type: string, keys: object) => ({ cniVersion: "1.1.0", name: "net", type, ipam, ...keys });

const tooSmall = (mtu: number) => ({
  status: 1,
  stdout: {
    code: 7,
    msg: `an MTU of ${mtu} ("eth0") is too small for fd00:9::2/64: IPv6 needs 1280`,
    details: /To fix: raise it to 1280 or more: /,
  },
});

const reservations = (node: Host) => node.sh("find /var/lib/cni/networks -name '10.*' -o -name 'fd00*'");

const plugins: Record<string, { keys: object; need: Need }> = {
  bridge: { keys: { bridge: "br0", isGateway: true }, need: needsRoot },
  ptp: { keys: {}, need: needsRoot },
  macvlan: { keys: { master: "uplink" }, need: needsKernel("macvlan") },
  vlan: { keys: { master: "uplink", vlanId: 5 }, need: needsKernel("vlan") },
};

for (const [plugin, { keys, need }] of Object.entries(plugins)) {
  t.test(`${plugin}: an MTU below 1280 is refused with IPv6 addresses, and the remedy works`, need, async (t) => {
    const node = newHost(t);
    node.sh("ip link add uplink type veth peer name far; ip link set uplink up");
    t.match(node.cni(plugin, "ADD", network(plugin, { ...keys, mtu: 1200 })), tooSmall(1200));
    t.equal(reservations(node), "");
    t.notMatch(node.sh("ip -o link"), /veth[0-9a-f]{8}/);
    t.match(node.cni(plugin, "ADD", network(plugin, { ...keys, mtu: 1280 })), { status: 0 });
    t.match(node.containers[0]?.sh("ip address show dev eth0"), /mtu 1280.*fd00:9::3\/64/s);
  });
}

t.test(
  "macvlan: a master whose MTU is below 1280 is refused, and raising it works",
  needsKernel("macvlan"),
  async (t) => {
    const node = newHost(t);
    const conf = network("macvlan", { master: "uplink" });
    node.sh("ip link add uplink mtu 1200 type veth peer name far; ip link set uplink up");
    t.match(node.cni("macvlan", "ADD", conf), tooSmall(1200));
    node.sh("ip link set uplink mtu 1280");
    t.match(node.cni("macvlan", "ADD", conf), { status: 0 });
  },
);

t.test("flannel: a FLANNEL_MTU below 1280 is refused for IPv6", needsRoot, async (t) => {
  const node = newHost(t);
  const subnet = (mtu: number) =>
    node.write(
      "/var/lib/subnet.env",
      `FLANNEL_NETWORK=10.9.0.0/16\nFLANNEL_SUBNET=10.9.0.1/24\nFLANNEL_IPV6_NETWORK=fd00:9::/48\nFLANNEL_IPV6_SUBNET=fd00:9::1/64\nFLANNEL_MTU=${mtu}\nFLANNEL_IPMASQ=false\n`,
    );
  const conf = { cniVersion: "1.1.0", name: "net", type: "flannel", subnetFile: "/var/lib/subnet.env" };
  subnet(1230);
  t.match(node.cni("flannel", "ADD", conf), { ...tooSmall(1230), stdout: { details: /with flannel FLANNEL_MTU/ } });
  t.match(node.cni("flannel", "DEL", conf), { status: 0 });
  subnet(1280);
  t.match(node.cni("flannel", "ADD", conf), { status: 0 });
});

const switchedOff = "for one in all default; do echo 1 > /proc/sys/net/ipv6/conf/$one/disable_ipv6; done";

for (const plugin of ["bridge", "ptp"] as const) {
  const conf = network(plugin, plugins[plugin]?.keys ?? {});
  const gateway = plugin === "bridge" ? "fd00:9::1/64" : "fd00:9::1/128";

  t.test(`${plugin}: IPv6 that a host has disabled is enabled on our own links`, needsRoot, async (t) => {
    const node = newHost(t);
    for (const namespace of [node, ...node.containers]) namespace.sh(switchedOff);
    t.match(node.cni(plugin, "ADD", conf), { status: 0 });
    t.match(node.sh("ip -o -6 address"), gateway);
    t.match(node.containers[0]?.sh("ip -o -6 address"), /fd00:9::2\/64/);
    t.equal(node.sh("cat /proc/sys/net/ipv6/conf/all/disable_ipv6"), "1\n", "on no other link");
    t.match(node.cni(plugin, "DEL", conf), { status: 0 });
  });

  const setUps = {
    "a kernel without IPv6": {
      prepare: "mount -t tmpfs none /proc/sys/net",
      refusal: { code: 7, msg: "this kernel has no IPv6, so that no interface can have fd00:9::2/64" },
    },
    "a read-only /proc/sys": {
      prepare: "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys",
      refusal: {
        code: 5,
        msg: /^\/proc\/sys\/net\/ipv6\/conf\/eth0\/keep_addr_on_down cannot be set to 1: \/proc\/sys is read-only$/,
        details: /^To fix: where the runtime is in a container, make that one privileged, or .*remount,rw \/proc\/sys$/,
      },
    },
  };
  for (const [what, { prepare, refusal }] of Object.entries(setUps)) {
    t.test(`${plugin}: ${what} is told, and nothing is left`, needsRoot, async (t) => {
      const node = newHost(t);
      const under = ["sh", "-c", `${prepare} && exec "$0"`];
      t.match(node.cni(plugin, "ADD", conf, { under }), { status: 1, stdout: refusal });
      t.equal(reservations(node), "");
      t.notMatch(node.sh("ip -o link"), /veth/);
      if (refusal.code === 7)
        t.match(node.cni(plugin, "STATUS", conf, { under }), {
          status: 1,
          stdout: { code: 50, msg: /^this kernel has no IPv6/ },
        });
      const onlyIPv4 = { ...conf, ipam: { ...ipam, ranges: [[{ subnet: "10.9.0.0/24" }]] }, isGateway: false };
      if (plugin === "bridge") t.match(node.cni(plugin, "ADD", onlyIPv4, { under }), { status: 0 });
    });
  }
}
