// An interface belongs to an attachment: the DEL of another one, whose ADD wanted the same name, leaves it and all that depends on it alone.
import { join } from "node:path";
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { type Feature, inLongRunOnCompleteKernel, needsKernel } from "./lab/needs.ts";
import { ourBin, ourTools } from "./lab/project.ts";

interface Maker {
  keys?: Record<string, unknown>;
  needs?: readonly Feature[];
}

const uplink = "ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up";
const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const makers: Record<string, Maker> = {
  bridge: { keys: { ipam } },
  dummy: { keys: { ipam }, needs: ["dummy"] },
  "host-device": { keys: { device: "far" } },
  ipvlan: { keys: { master: "uplink", ipam }, needs: ["ipvlan"] },
  macvlan: { keys: { master: "uplink" }, needs: ["macvlan"] },
  ptp: { keys: { ipam } },
  tap: {},
  vlan: { keys: { master: "uplink", vlanId: 5 }, needs: ["vlan"] },
};

const confOf = (name: string, type: string, keys = {}) => ({ cniVersion: "1.1.0", name, type, ...keys });

/** Of the container, without lo: "2 eth0 0a:58:0a:01:00:02". */
function linksIn({ containers: [container] }: Host): string[] {
  const links = container?.json("ip", "-j", "link") as { ifindex: number; ifname: string; address: string }[];
  return links
    .filter(({ ifname }) => ifname !== "lo")
    .map(({ ifindex, ifname, address }) => `${ifindex} ${ifname} ${address}`);
}

for (const [plugin, { keys, needs = [] }] of Object.entries(makers)) {
  const conf = confOf("q", plugin, keys);
  const need = plugin === "vlan" ? needsKernel(...needs) : inLongRunOnCompleteKernel(needsKernel(...needs)); // one of its kind

  t.test(`${plugin}: DEL after an ADD that found the name taken leaves the interface`, need, async (t) => {
    const node = newHost(t);
    node.sh(uplink);
    const other = confOf("p", "bridge");
    t.match(node.cni("bridge", "ADD", other), { status: 0 });
    const before = linksIn(node);
    const path = node.containers[0]?.path;
    t.match(node.cni(plugin, "ADD", conf), {
      status: 1,
      stdout: {
        msg: `interface "eth0" already exists in ${path}: it belongs to network "p"`,
        details: new RegExp(
          `To fix: choose another interface name: CNI_IFNAME=eth1, cnitool add --ifname eth1 q ${path}$`,
        ),
      },
    });
    for (let i = 0; i < 2; i++) {
      t.match(node.cni(plugin, "DEL", conf), { status: 0, stdout: "" });
      t.strictSame(linksIn(node), before);
    }
    t.match(node.cni(plugin, "ADD", conf, { ifName: "eth1" }), { status: 0 }, "as the message says");
    t.match(node.cni(plugin, "DEL", conf, { ifName: "eth1" }), { status: 0 });
    t.strictSame(linksIn(node), before);
    t.match(node.cni("bridge", "DEL", other), { status: 0, stderr: "" });
    t.strictSame(linksIn(node), []);
  });

  t.test(
    `${plugin}: the interface is not taken by the DEL of another network, container or interface`,
    need,
    async (t) => {
      const node = newHost(t);
      node.sh(uplink);
      t.match(node.cni(plugin, "ADD", conf), { status: 0 });
      const before = linksIn(node);
      const others = [
        [confOf("p", "bridge"), "bridge", {}],
        [confOf("p", "tap"), "tap", {}],
        [{ ...conf, name: "p" }, plugin, {}],
        [conf, plugin, { containerId: "another" }],
      ] as const;
      for (const [other, type, call] of others) {
        t.match(node.cni(type, "DEL", other, call), { status: 0 });
        t.strictSame(linksIn(node), before, `${type} ${other.name}`);
      }
      t.match(node.cni(plugin, "DEL", conf), { status: 0, stderr: "" });
      t.strictSame(linksIn(node), []);
    },
  );
}

for (const plugin of ["bridge", "ptp", "tap"]) {
  t.test(
    `${plugin}: DEL finds its interface under another name, and takes one without a mark`,
    needsKernel(),
    async (t) => {
      const node = newHost(t);
      const conf = confOf("q", plugin, plugin === "tap" ? {} : { ipam });
      t.match(node.cni(plugin, "ADD", conf), { status: 0 });
      node.containers[0]?.sh("ip link set eth0 down; ip link set eth0 name renamed");
      t.match(node.cni("bridge", "ADD", confOf("p", "bridge")), { status: 0 });
      t.match(node.cni(plugin, "DEL", conf), { status: 0 });
      t.notMatch(linksIn(node).join(), /renamed/);
      t.match(linksIn(node).join(), /eth0/);

      node.containers[0]?.sh("ip link delete eth0; ip link add eth0 type bridge");
      t.match(node.cni(plugin, "DEL", conf), { status: 0, stderr: "" });
      t.strictSame(linksIn(node), []);
    },
  );
}

for (const plugin of ["bridge", "ptp", "tap"]) {
  t.test(`${plugin}: DEL leaves the loopback interface, which is nobody's`, needsKernel(), async (t) => {
    const node = newHost(t);
    const conf = confOf("q", plugin, plugin === "tap" ? {} : { ipam });
    t.match(node.cni(plugin, "ADD", conf, { ifName: "lo" }), { status: 1 });
    t.match(node.cni(plugin, "DEL", conf, { ifName: "lo" }), { status: 0, stderr: /"lo" in .* is hardware, or the/ });
  });
}

t.test(
  "cnitool: what a failed add advises leaves the other network's interface, and all that depends on it",
  needsKernel("nft_bridge"),
  async (t) => {
    const node = newHost(t);
    const [container] = node.containers;
    const list = (name: string, subnet: string) =>
      JSON.stringify({
        cniVersion: "1.0.0",
        name,
        plugins: [
          {
            type: "bridge",
            bridge: `br-${name}`,
            isGateway: true,
            macspoofchk: true,
            ipam: { type: "host-local", subnet },
          },
          { type: "tuning", mtu: 1400 },
          { type: "sbr" },
        ],
      });
    node.write("/var/lib/net.d/p.conflist", list("p", "10.1.0.0/24"));
    node.write("/var/lib/net.d/q.conflist", list("q", "10.2.0.0/24"));
    const cnitool = (...args: string[]) =>
      node.runInside([join(ourTools, "cnitool"), ...args], { CNI_PATH: ourBin, NETCONFPATH: "/var/lib/net.d" });
    const path = container?.path ?? "";
    const state = () => [
      linksIn(node),
      container?.sh("cat /sys/class/net/eth0/mtu; ip -4 -br addr; ip rule; ip -4 route show table all"),
      node.sh("nft list ruleset; ls /var/lib/cni/tuning /run/cni/tuning 2>/dev/null || true"),
    ];

    t.match(cnitool("add", "p", path), { status: 0 });
    const before = state();
    const failed = cnitool("add", "q", path);
    t.match(failed, { status: 1 });
    t.match(failed.stdout + failed.stderr, `cnitool add --ifname eth1 q ${path}`);
    t.match(cnitool("del", "q", path), { status: 0 });
    t.strictSame(state(), before);
    t.match(cnitool("check", "p", path), { status: 0 });

    t.match(cnitool("add", "--ifname", "eth1", "q", path), { status: 0 });
    t.match(cnitool("check", "p", path), { status: 0 });
    t.match(cnitool("del", "--ifname", "eth1", "q", path), { status: 0 });
    t.match(cnitool("del", "p", path), { status: 0 });
    t.strictSame(linksIn(node), []);
  },
);
