// The macvlan plugin on the real kernel, as `ip` and `ping` see it. Its master is a veth whose other end is the outside, a namespace
// of its own.
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { needsKernel } from "./lab/needs.ts";

const needs = needsKernel("macvlan");
const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const network = (keys: object = {}) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "macvlan",
  master: "uplink",
  ipam,
  ...keys,
});

/** The last container is the outside, 10.1.0.1. */
function newNode(t: Parameters<typeof newHost>[0], containers = 1): Host {
  const node = newHost(t, { containers: containers + 1 });
  const outside = node.containers[containers]?.name;
  node.sh(`
    ip link add uplink type veth peer name far netns ${outside}; ip link set uplink up
    ip -n ${outside} address add 10.1.0.1/24 dev far; ip -n ${outside} link set far up`);
  return node;
}

const linkOf = (node: Host, name = "eth0") => node.snapshot().namespaces[`${node.name}-c0`]?.links[name];
const reservations = (node: Host) =>
  Object.keys(node.snapshot().files).filter((path) => /networks\/net\/[\da-f]/.test(path));
const reaches = (node: Host, address: string) => node.containers[0]?.run("ping", "-c1", "-W5", address).status === 0;

t.test("macvlan: containers reach each other and the outside, and DEL takes all away", needs, async (t) => {
  const node = newNode(t, 2);
  node.cni("macvlan", "ADD", network());
  node.cni("macvlan", "DEL", network());
  const before = node.snapshot();
  const results = [0, 1].map((container) => node.cni("macvlan", "ADD", network(), { container }).stdout);
  t.match(linkOf(node), { kind: "macvlan" });
  t.match(results, [{ interfaces: [{ name: "eth0", mac: linkOf(node)?.mac, sandbox: node.containers[0]?.path }] }, {}]);
  t.match(results, [{ ips: [{ address: "10.1.0.3/24", interface: 0 }] }, { ips: [{ address: "10.1.0.4/24" }] }]);
  t.ok(reaches(node, "10.1.0.1"), "the outside");
  t.ok(reaches(node, "10.1.0.4"), "the other container");
  t.match(node.cni("macvlan", "CHECK", { ...network(), prevResult: results[0] }), { status: 0, stdout: "" });
  for (const container of [0, 1])
    for (const again of ["once", "twice"])
      t.match(node.cni("macvlan", "DEL", network(), { container }), { status: 0, stdout: "" }, again);
  const { files, namespaces } = node.snapshot();
  t.strictSame(namespaces, before.namespaces);
  t.strictSame(Object.keys(files), Object.keys(before.files));
});

t.test("macvlan: with linkInContainer the master is the container's", needs, async (t) => {
  const node = newHost(t);
  const [container] = node.containers;
  container?.sh("ip link add uplink mtu 1300 type veth peer name far; ip link set uplink up; ip link set far up");
  const conf = network({ linkInContainer: true, mtu: 1200 });
  const { stdout } = node.cni("macvlan", "ADD", conf);
  t.match(linkOf(node), { kind: "macvlan", mtu: 1200 });
  const index = /^(\d+): uplink/m.exec(container?.sh("ip -o link") ?? "")?.[1];
  t.match(container?.json("ip", "-j", "link", "show", "eth0"), [{ link: "uplink" }], `on ${index}`);
  t.match(node.cni("macvlan", "CHECK", { ...conf, prevResult: stdout }), { status: 0 });
  t.match(node.cni("macvlan", "ADD", network({ linkInContainer: true, mtu: 1400 }), { ifName: "eth1" }), {
    stdout: { code: 7, msg: "invalid MTU 1400, must be [0, master MTU(1300)]" },
  });
  t.match(node.cni("macvlan", "DEL", conf), { status: 0 });
  t.equal(linkOf(node), undefined);
  container?.sh("ip address add 192.0.2.1/24 dev uplink; ip route add default via 192.0.2.9");
  const inferred = network({ linkInContainer: true, master: "" });
  t.match(node.cni("macvlan", "ADD", inferred), { status: 0 }, "the container's default route");
  t.match(node.cni("macvlan", "STATUS", inferred), { status: 0 }, "of which STATUS knows nothing");
});

t.test("macvlan: without master it is the link of the default route with the lowest metric", needs, async (t) => {
  const node = newNode(t);
  node.sh(`
    ip link add other type veth peer name other2; ip link set other up; ip link set other2 up
    ip address add 192.0.2.1/24 dev other; ip address add 198.51.100.1/24 dev uplink
    ip route add default via 192.0.2.9 metric 200; ip route add default via 198.51.100.9 metric 100`);
  const conf = network({ master: undefined });
  const { stdout } = node.cni("macvlan", "ADD", conf);
  t.ok(reaches(node, "10.1.0.1"), "it lies on uplink");
  node.sh("ip route delete default metric 100");
  t.match(node.cni("macvlan", "CHECK", { ...conf, prevResult: stdout }), { status: 0 }, "the default route has moved");
  node.sh(`ip route delete default
    ip route add default nexthop via 198.51.100.9 dev uplink nexthop via 192.0.2.9 dev other`);
  t.match(node.cni("macvlan", "ADD", conf, { ifName: "eth3" }), { status: 0 }, "of several next hops the first counts");
  node.sh("ip route delete default; ip route add unreachable default; ip -6 route add default dev uplink");
  t.match(node.cni("macvlan", "ADD", conf, { ifName: "eth1" }), { status: 0 }, "an IPv6 default route counts as well");
  node.sh("ip -6 route delete default");
  const says = { msg: "no default route interface found" };
  t.match(node.cni("macvlan", "ADD", conf, { ifName: "eth2" }), { status: 1, stdout: { code: 999, ...says } });
  t.match(node.cni("macvlan", "STATUS", conf), { status: 1, stdout: { code: 50, ...says } });
  for (const ifName of ["eth0", "eth1", "eth2", "eth3"])
    t.match(node.cni("macvlan", "DEL", conf, { ifName }), { status: 0 }, `DEL ${ifName}`);
  t.strictSame(reservations(node), []);
});

t.test("macvlan: bcqueuelen, mode and MAC are the kernel's", needs, async (t) => {
  const node = newNode(t);
  const conf = network({ mode: "private", bcqueuelen: 1234, mac: "02-42-0A-01-00-05" });
  t.match(node.cni("macvlan", "ADD", conf), { stdout: { interfaces: [{ mac: "02:42:0a:01:00:05" }] } });
  t.match(node.containers[0]?.sh("ip -d link show eth0"), /02:42:0a:01:00:05.*mode private bcqueuelen 1234/s);
});

t.test("macvlan: what is on the master already is told of", needs, async (t) => {
  const node = newNode(t, 2);
  const before = node.cni("macvlan", "ADD", network({ mode: "passthru" }));
  t.match(before, { status: 0 });
  t.match(node.cni("macvlan", "ADD", network({ mode: "passthru" }), { container: 1 }), {
    status: 1,
    stdout: {
      code: 999,
      msg: `master "uplink" cannot carry another macvlan link`,
      details: /passthru must be the only one/,
    },
  });
  t.match(node.cni("macvlan", "DEL", network()), { status: 0 });
  node.sh("ip link add br0 type bridge; ip link set uplink master br0");
  t.match(node.cni("macvlan", "ADD", network()), {
    status: 1,
    stdout: {
      code: 999,
      msg: `master "uplink" cannot carry macvlan links, because it is already used in another way`,
      details: /port of a bridge/,
    },
  });
  t.strictSame(reservations(node), [], "IPAM was not asked");
});

t.test("macvlan: an ADD that cannot be done leaves nothing", needs, async (t) => {
  const node = newNode(t);
  node.cni("macvlan", "ADD", network());
  node.cni("macvlan", "DEL", network());
  const before = node.snapshot().namespaces;
  const routes = [{ dst: "192.0.2.0/24", gw: "203.0.113.1" }];
  const refused: [object, object][] = [
    [{ ipam: { ...ipam, routes } }, { msg: `the kernel refuses route 192.0.2.0/24 via 203.0.113.1 on "eth0"` }],
    [{ ipam: { type: "nowhere" } }, { msg: /failed to find plugin "nowhere" in path/ }],
    [{ mtu: 9000 }, { code: 7, msg: "invalid MTU 9000, must be [0, master MTU(1500)]" }],
    [{ mtu: -1 }, { code: 7, msg: "invalid MTU -1, must be [0, master MTU(1500)]" }],
    [{ mode: "brige" }, { code: 7, details: /did you mean "bridge"/ }],
    [{ mac: "02:42" }, { code: 7 }],
    [{ bcqueuelen: -1 }, { code: 7 }],
    [{ master: "uplnk" }, { code: 999, msg: `failed to lookup master "uplnk": there is no such link on the host` }],
  ];
  for (const [keys, stdout] of refused) {
    t.match(node.cni("macvlan", "ADD", network(keys)), { status: 1, stdout }, JSON.stringify(keys));
    t.strictSame(node.snapshot().namespaces, before, JSON.stringify(keys));
    t.strictSame(reservations(node), [], JSON.stringify(keys));
  }
  node.containers[0]?.sh("ip link add eth0 type veth");
  t.match(node.cni("macvlan", "ADD", network()), {
    status: 1,
    stdout: { msg: /^interface "eth0" already exists in / },
  });
});

t.test("macvlan: CHECK tells what was changed", needs, async (t) => {
  const node = newNode(t);
  const { stdout: prevResult } = node.cni("macvlan", "ADD", network());
  const check = (keys: object) => node.cni("macvlan", "CHECK", { ...network(keys), prevResult });
  t.match(check({}), { status: 0, stdout: "" });
  t.match(check({ mode: "vepa" }), { status: 1, stdout: { code: 999, msg: `"eth0" is not in macvlan mode vepa` } });
  node.sh("ip link add other type veth");
  t.match(check({ master: "other" }), { status: 1, stdout: { msg: `"eth0" has another parent than master "other"` } });
  t.match(check({ master: "gone" }), { status: 1, stdout: { msg: `master "gone" is missing` } });
  node.sh("ip link delete uplink");
  t.match(check({}), { status: 1, stdout: { msg: /^interface "eth0" is missing in / } });
});

t.test("macvlan: without IPAM the link is up and has no address", needs, async (t) => {
  const node = newNode(t);
  const conf = network({ ipam: undefined });
  const { stdout } = node.cni("macvlan", "ADD", conf);
  t.match(stdout, { interfaces: [{ name: "eth0" }] });
  t.match(linkOf(node)?.flags, "UP");
  t.match(node.cni("macvlan", "CHECK", { ...conf, prevResult: stdout }), { status: 0 });
  node.containers[0]?.sh("ip address add 10.1.0.9/24 dev eth0");
  t.ok(reaches(node, "10.1.0.1"));
  t.match(node.cni("macvlan", "STATUS", conf), { status: 0 });
  t.match(node.cni("macvlan", "DEL", conf), { status: 0 });
});

t.test("macvlan: a MAC that another link has is refused with that link's name", needs, async (t) => {
  const node = newNode(t, 2);
  const mac = "02:00:00:00:00:07";
  const before = () => node.sh("ip -o link; ls /var/lib/cni/networks/net | grep -c '^10' || true");
  node.cni("macvlan", "ADD", network({ mac }), { container: 1 });
  const one = before();
  t.match(node.cni("macvlan", "ADD", network({ mac })), {
    status: 1,
    stdout: {
      code: 999,
      msg: `MAC ${mac} of "eth0" is in use on its master`,
      details: `"eth0" in ${node.containers[1]?.path} has it; take another "mac", or delete that one`,
    },
  });
  const [uplink] = node.json("ip", "-j", "link", "show", "uplink") as { address: string }[];
  t.match(node.cni("macvlan", "ADD", network({ mac: uplink?.address })), {
    status: 1,
    stdout: { msg: `MAC ${uplink?.address} of "eth0" is in use on its master`, details: '"uplink" on the host has it' },
  });
  t.equal(before(), one, "nothing is left");

  const { stdout: prevResult } = node.cni("macvlan", "ADD", network());
  const tuned = node.cni("tuning", "ADD", { cniVersion: "1.1.0", name: "net", type: "tuning", mac, prevResult });
  t.match(tuned, { status: 1, stdout: { details: `"eth0" in ${node.containers[1]?.path} has it` } });
});
