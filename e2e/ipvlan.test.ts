// The ipvlan plugin on a kernel that has ipvlan links, as `ip` and `ping` see it. Its master is a veth whose other end is the outside, a
// namespace of its own.
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { needsKernel } from "./lab/needs.ts";

const needs = needsKernel("ipvlan");
const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const network = (keys: object = {}) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "ipvlan",
  master: "uplink",
  ipam,
  ...keys,
});

/** The second container is the outside, 10.1.0.1. */
function newNode(t: Parameters<typeof newHost>[0]): Host {
  const node = newHost(t, { containers: 2 });
  const outside = node.containers[1]?.name;
  node.sh(`
    ip link add uplink type veth peer name far netns ${outside}; ip link set uplink up
    ip -n ${outside} address add 10.1.0.1/24 dev far; ip -n ${outside} link set far up`);
  return node;
}

const linkIn = (node: Host, name = "eth0") => node.containers[0]?.run("ip", "-d", "link", "show", name).stdout ?? "";
const macOf = (text: string | undefined) => /link\/ether (\S+)/.exec(text ?? "")?.[1];
const reservations = (node: Host) => node.run("sh", "-c", "ls /var/lib/cni/networks/net | grep '^10'").stdout;

t.test("ipvlan: ADD makes a link with the master's MAC, CHECK sees it, DEL deletes it", needs, async (t) => {
  const node = newNode(t);
  node.sh("ip link add eth0 type veth"); // a host has one of that name, which does not matter
  const { status, stdout } = node.cni("ipvlan", "ADD", network({ mtu: 1400 }));
  t.match(status, 0);
  t.match(linkIn(node), /mtu 1400.*ipvlan\s+mode l2/s);
  t.equal(macOf(linkIn(node)), macOf(node.sh("ip link show uplink")));
  t.match(stdout, {
    interfaces: [{ name: "eth0", mac: macOf(linkIn(node)), sandbox: node.containers[0]?.path }],
    ips: [{ address: "10.1.0.2/24", interface: 0 }],
  });
  t.equal(node.containers[0]?.run("ping", "-c1", "-W20", "10.1.0.1").status, 0, "it reaches the outside");
  t.match(node.containers[0]?.sh("cat /proc/sys/net/ipv[46]/conf/eth0/*_notify"), "1\n1\n");

  const check = (keys: object) => node.cni("ipvlan", "CHECK", { ...network(keys), prevResult: stdout });
  t.match(check({}), { status: 0, stdout: "" });
  t.match(check({ master: undefined }), { status: 0 }, "a master that was looked up is not looked up again");
  t.match(check({ mode: "l3" }), { status: 1, stdout: { msg: `"eth0" is not in ipvlan mode l3` } });
  t.match(check({ master: "eth0" }), { status: 1, stdout: { msg: `"eth0" has another parent than master "eth0"` } });
  t.match(node.cni("ipvlan", "ADD", network({ mtu: 9000 }), { ifName: "eth1" }), {
    status: 1,
    stdout: { code: 7, msg: "invalid MTU 9000, must be [0, master MTU(1500)]" },
  });

  node.sh("ip link delete uplink");
  t.match(node.cni("ipvlan", "STATUS", network()), {
    status: 1,
    stdout: { code: 50, msg: `failed to lookup master "uplink": there is no such link on the host` },
  });
  for (const again of ["once", "twice"])
    t.match(node.cni("ipvlan", "DEL", network({ master: undefined })), { status: 0, stdout: "" }, again);
  t.equal(reservations(node), "");
});

t.test("ipvlan: behind another plugin it takes that one's interface and addresses", needs, async (t) => {
  const node = newNode(t);
  const prevResult = {
    cniVersion: "1.1.0",
    interfaces: [{ name: "uplink" }],
    ips: [{ address: "10.1.0.77/24", gateway: "10.1.0.1" }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { nameservers: ["192.0.2.53"] },
  };
  const conf = network({ master: undefined, ipam: undefined, mode: "l3s" });
  const { stdout } = node.cni("ipvlan", "ADD", { ...conf, prevResult });
  t.match(stdout, {
    interfaces: [{ name: "eth0", sandbox: node.containers[0]?.path }],
    ips: [{ address: "10.1.0.77/24", gateway: "10.1.0.1", interface: 0 }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { nameservers: ["192.0.2.53"] },
  });
  t.match(linkIn(node), /ipvlan\s+mode l3s/);
  t.match(node.containers[0]?.sh("ip route"), /default via 10\.1\.0\.1 dev eth0/);
  t.match(node.cni("ipvlan", "CHECK", { ...conf, prevResult: stdout }), { status: 0 });
  node.containers[0]?.sh("ip route delete default");
  t.match(node.cni("ipvlan", "CHECK", { ...conf, prevResult: stdout }), {
    status: 1,
    stdout: { msg: "route 0.0.0.0/0 is missing" },
  });
  const two = { ...prevResult, interfaces: [{ name: "uplink" }, { name: "other" }] };
  t.match(node.cni("ipvlan", "ADD", { ...conf, prevResult: two }, { ifName: "eth1" }), {
    status: 1,
    stdout: { code: 7, msg: "chained master failure. PrevResult lacks a single named interface" },
  });
  t.match(node.cni("ipvlan", "DEL", { ...conf, prevResult: two }), { status: 0 }, "which is nothing to DEL");
  t.equal(linkIn(node), "");
});

t.test("ipvlan: an ADD that cannot be done leaves nothing, and says why", needs, async (t) => {
  const node = newNode(t);
  const [inside, outside] = node.containers;
  node.sh(`ip link add link uplink name macvlan0 type macvlan`);
  t.match(node.cni("ipvlan", "ADD", network()), {
    status: 1,
    stdout: {
      code: 999,
      msg: `master "uplink" cannot carry ipvlan links, because it is already used in another way`,
      details: /either macvlan or ipvlan links/,
    },
  });
  node.sh("ip link delete macvlan0");
  const routes = [{ dst: "192.0.2.0/24", gw: "203.0.113.1" }];
  t.match(node.cni("ipvlan", "ADD", network({ ipam: { ...ipam, routes } })), {
    status: 1,
    stdout: { msg: `the kernel refuses route 192.0.2.0/24 via 203.0.113.1 on "eth0"` },
  });
  t.equal(reservations(node), "");
  t.notMatch(inside?.sh("ip link"), /eth0/);
  const inContainer = network({ linkInContainer: true, master: "far", ipam: undefined });
  t.match(node.cni("ipvlan", "ADD", inContainer, { container: 1 }), { status: 0 }, "in a container, without addresses");
  t.match(outside?.sh("ip -d link show eth0"), /eth0@far.*UP.*ipvlan\s+mode l2/s);
});
