// The dummy plugin on a kernel that has dummy links, as `ip` sees it.
import t from "tap";
import { type Host, newHost } from "./lab/host.ts";
import { inLongRunOnCompleteKernel, needsKernel } from "./lab/needs.ts";

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };
const network = (keys: object = {}) => ({ cniVersion: "1.1.0", name: "net", type: "dummy", ipam, ...keys });

const linkOf = (node: Host, name = "eth0") => node.snapshot().namespaces[`${node.name}-c0`]?.links[name];
const reservations = (node: Host) =>
  Object.keys(node.snapshot().files).filter((path) => /networks\/net\/[\da-f]/.test(path));

t.test(
  "dummy: ADD makes a link with addresses, CHECK sees it, DEL deletes both, as often as it comes",
  needsKernel("dummy"),
  async (t) => {
    const node = newHost(t);
    node.sh("ip link add eth0 type veth"); // a host has one of that name, which does not matter
    const conf = network({ ipam: { ...ipam, routes: [{ dst: "192.0.2.0/24", gw: "10.1.0.9" }] } });
    const { status, stdout, stderr } = node.cni("dummy", "ADD", conf);
    t.match({ status, stderr }, { status: 0, stderr: "" });
    const link = linkOf(node);
    t.match(link, { kind: "dummy" });
    t.match(stdout, {
      interfaces: [{ name: "eth0", mac: link?.mac, sandbox: node.containers[0]?.path }],
      ips: [
        { address: "10.1.0.2/24", interface: 0 },
        { address: "fd00:1::2/64", interface: 0 },
      ],
      routes: [{ dst: "192.0.2.0/24", gw: "10.1.0.9" }],
    });
    const container = node.containers[0];
    t.match(container?.sh("ip route"), /192\.0\.2\.0\/24 via 10\.1\.0\.9 dev eth0/);
    t.match(container?.sh("ip -6 address show eth0"), /fd00:1::2\/64/);

    const held = { ...conf, prevResult: stdout };
    t.match(node.cni("dummy", "CHECK", held), { status: 0, stdout: "" });
    container?.sh("ip link set eth0 down");
    t.match(node.cni("dummy", "CHECK", held), {
      status: 1,
      stdout: { code: 999, msg: /^interface "eth0" .* is down, must be up$/ },
    });

    for (const again of ["once", "twice"]) t.match(node.cni("dummy", "DEL", held), { status: 0, stdout: "" }, again);
    t.equal(linkOf(node), undefined);
    t.strictSame(reservations(node), []);
  },
);

t.test("dummy: an ADD that cannot be done leaves nothing", needsKernel("dummy"), async (t) => {
  const node = newHost(t);
  node.cni("dummy", "ADD", network());
  node.cni("dummy", "DEL", network());
  const before = node.snapshot();
  const routes = [{ dst: "192.0.2.0/24", gw: "203.0.113.1" }];
  t.match(node.cni("dummy", "ADD", network({ ipam: { ...ipam, routes } })), {
    status: 1,
    stdout: { msg: `the kernel refuses route 192.0.2.0/24 via 203.0.113.1 on "eth0"` },
  });
  const {
    "cni/networks/net/last_reserved_ip.0": _4,
    "cni/networks/net/last_reserved_ip.1": _6,
    ...files
  } = node.snapshot().files;
  t.strictSame(
    Object.keys(files).filter((path) => !(path in before.files)),
    [],
  );
  t.strictSame(node.snapshot().namespaces, before.namespaces);
});

t.test(
  "dummy: DEL releases the addresses whatever is gone",
  inLongRunOnCompleteKernel(needsKernel("dummy")),
  async (t) => {
    const node = newHost(t);
    for (const netns of ["", "/run/netns/gone-long-ago"]) {
      t.match(node.cni("dummy", "ADD", network()), { status: 0 });
      t.equal(reservations(node).length, 2);
      t.match(node.cni("dummy", "DEL", network(), { environment: { CNI_NETNS: netns } }), { status: 0, stdout: "" });
      t.strictSame(reservations(node), [], `CNI_NETNS="${netns}"`);
      node.containers[0]?.sh("ip link delete eth0");
    }
  },
);

t.test("dummy: GC frees what belongs to no attachment", needsKernel("dummy"), async (t) => {
  const node = newHost(t);
  node.cni("dummy", "ADD", network());
  t.match(
    node.cni("dummy", "GC", network({ "cni.dev/valid-attachments": [{ containerID: "container-0", ifname: "eth0" }] })),
    { status: 0 },
  );
  t.equal(reservations(node).length, 2);
  t.match(node.cni("dummy", "GC", network({ "cni.dev/valid-attachments": [] })), { status: 0 });
  t.strictSame(reservations(node), []);
});

t.test("dummy: without IPAM it is refused, before anything is made", needsKernel("dummy"), async (t) => {
  const node = newHost(t);
  const before = node.snapshot();
  const says = { code: 7, msg: "dummy interface requires an IPAM configuration" };
  for (const verb of ["ADD", "STATUS"] as const) {
    t.match(node.cni("dummy", verb, network({ ipam: {} })), { status: 1, stdout: says }, verb);
  }
  t.match(node.cni("dummy", "DEL", network({ ipam: {} })), { status: 0 });
  t.strictSame(node.snapshot(), before);
});
