// vrf behind interfaces made by hand, and behind bridge, on a kernel that has VRFs, as `ip` sees it.
import t from "tap";
import { type Container, newHost } from "./lab/host.ts";
import { containerWith, interfaceByHand, lines, resultByHand, routesIn } from "./lab/interface-by-hand.ts";
import { needsKernel, needsRoot } from "./lab/needs.ts";

type Json = Record<string, unknown>;

const conf = (keys: Json = {}) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "vrf",
  vrfname: "blue",
  prevResult: resultByHand,
  ...keys,
});
const call = { ifName: "net1" };
const hasVrfs = needsKernel("vrf").skip === false;

/** Further routes: on the link, with a next hop each of two, and in a table of somebody's. */
const moreRoutes = `
ip route add 169.254.1.1 dev net1 scope link
ip route add 10.5.0.0/16 via 169.254.1.1 dev net1 src 192.168.1.209
ip route append 10.6.0.0/16 via 192.168.1.3 dev net1
ip route append 10.6.0.0/16 via 192.168.1.4 dev net1
ip route add 10.7.0.0/16 via 192.168.1.7 dev net1 table 77`;

/** Links with their masters, and the VRFs' tables: "net1 in blue", "blue 1". */
function vrfs({ json }: Container): string[] {
  const links = json("ip", "-d", "-j", "link", "show") as { ifname: string; master?: string; linkinfo?: Json }[];
  return links
    .flatMap(({ ifname, master, linkinfo }) => {
      const { table } = (linkinfo?.["info_data"] ?? {}) as { table?: number };
      return master ? [`${ifname} in ${master}`] : linkinfo?.["info_kind"] === "vrf" ? [`${ifname} ${table}`] : [];
    })
    .sort();
}

t.test(
  "vrf: the interface takes addresses and routes along; the VRF goes with its last interface",
  needsKernel("vrf"),
  async (t) => {
    const node = newHost(t);
    const container = containerWith(node, `${interfaceByHand}${moreRoutes}`);
    const main = routesIn(container, "main");
    const links = lines(container.sh("ip -o link show | cut -d: -f2"));

    const added = node.cni("vrf", "ADD", conf(), call);
    t.match(added, {
      status: 0,
      stderr: "",
      stdout: {
        ips: resultByHand.ips,
        routes: [
          { dst: "0.0.0.0/0", table: 1 },
          { dst: "192.0.2.0/24", gw: "192.168.1.9", table: 1 },
          { dst: "::/0", table: 1 },
        ],
      },
    });
    t.strictSame(vrfs(container), ["blue 1", "net1 in blue"]);
    t.strictSame(
      routesIn(container, "1 type unicast").filter((line) => !line.startsWith("multicast")),
      main,
      "all routes",
    );
    t.strictSame(routesIn(container, "main"), []);
    t.strictSame(routesIn(container, 77), ["10.7.0.0/16 via 192.168.1.7 dev net1"]);
    t.match(container.sh("ip address show net1"), /192\.168\.1\.209\/24.*fd00:9::209\/64 scope global *\n/s);

    const held = { ...conf(), prevResult: added.stdout };
    t.match(node.cni("vrf", "CHECK", held, call), { status: 0, stdout: "" });
    t.match(node.cni("vrf", "ADD", conf(), call), {
      status: 1,
      stdout: { code: 999, msg: "interface net1 has already a master set: blue" },
    });

    const far = { ifName: "far" };
    t.match(node.cni("vrf", "ADD", conf({ table: 1, prevResult: { ...resultByHand, ips: [], routes: [] } }), far), {
      status: 0,
    });
    t.strictSame(vrfs(container), ["blue 1", "far in blue", "net1 in blue"]);
    t.match(node.cni("vrf", "DEL", held, call), { status: 0, stdout: "" });
    t.strictSame(vrfs(container), ["blue 1", "far in blue"]);
    t.match(node.cni("vrf", "CHECK", held, call), {
      status: 1,
      stdout: { code: 999, msg: "failed to find net1 associated to vrf blue" },
    });
    t.match(node.cni("vrf", "DEL", held, call), { status: 0 }, "twice");
    t.strictSame(vrfs(container), ["blue 1", "far in blue"], "the other one's");
    t.match(node.cni("vrf", "DEL", held, far), { status: 0 });
    t.strictSame(lines(container.sh("ip -o link show | cut -d: -f2")), links);
    t.match(node.cni("vrf", "CHECK", held, call), { status: 1, stdout: { code: 999, msg: 'VRF "blue" is missing' } });
  },
);

t.test("vrf: behind bridge, the whole chain passes CHECK", needsKernel("vrf"), async (t) => {
  const node = newHost(t);
  const ipam = {
    type: "host-local",
    ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }],
  };
  const bridge = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "br0", isGateway: true, ipam };
  const given = node.cni("bridge", "ADD", bridge).stdout;
  const final = { prevResult: node.cni("vrf", "ADD", conf({ prevResult: given })).stdout };
  t.match(final, { prevResult: { routes: [{ dst: "0.0.0.0/0", table: 1 }] } });
  const [container] = node.containers;
  t.equal(container?.run("ping", "-c1", "-W9", "-I", "blue", "10.1.0.1").status, 0, "through the VRF");
  t.match(node.cni("vrf", "CHECK", conf(final)), { status: 0 });
  t.match(node.cni("bridge", "CHECK", { ...bridge, ...final }), { status: 0, stdout: "" });
  t.match(
    node.cni("bridge", "CHECK", { ...bridge, prevResult: given }),
    { status: 0, stdout: "" },
    "as behind Go's vrf",
  );
});

t.test("vrf: IPv6 addresses are usable at once, whether the kernel kept them or not", needsKernel("vrf"), async (t) => {
  const node = newHost(t);
  const settings = "/proc/sys/net/ipv6/conf/net1";
  const container = containerWith(node, `${interfaceByHand}\necho 1 > ${settings}/accept_dad`);
  for (const kept of [0, 1]) {
    container.sh(`echo ${kept} > ${settings}/keep_addr_on_down`);
    t.match(node.cni("vrf", "ADD", conf(), call), { status: 0 });
    t.match(
      container.sh(`ip -6 address show net1; cat ${settings}/accept_dad`),
      /fd00:9::209\/64 scope global *\n.*\n1\n$/s,
    );
    t.match(node.cni("vrf", "DEL", conf(), call), { status: 0 });
    container.sh("ip link delete net1");
    container.sh(`${interfaceByHand}\necho 1 > ${settings}/accept_dad`);
  }
});

t.test(
  "vrf: tables of VRFs, rules and routes are not taken; networks may share a VRF",
  needsKernel("vrf"),
  async (t) => {
    const node = newHost(t);
    const container = containerWith(
      node,
      `${interfaceByHand}
ip link add v1 type vrf table 1
ip link add v4 type vrf table 4
ip rule add from 10.9.9.9 lookup 2
ip route add 10.8.0.0/16 dev far table 3
ip link add red type vrf table 10
ip link add br0 type bridge`,
    );
    const before = vrfs(container);
    const refusals: [Json, Json][] = [
      [
        conf({ vrfname: "red", table: 11 }),
        { code: 999, msg: 'VRF red already exist with different routing table 10, "table" is 11' },
      ],
      [conf({ vrfname: "br0" }), { code: 999, msg: 'Netlink br0 is not a VRF: it is of kind "bridge"' }],
    ];
    for (const [keys, says] of refusals) t.match(node.cni("vrf", "ADD", keys, call), { status: 1, stdout: says });
    t.match(node.cni("vrf", "ADD", conf(), { ifName: "net7" }), {
      status: 1,
      stdout: { code: 999, msg: /^could not get link by name net7: there is none in / },
    });
    t.strictSame(vrfs(container), before, "a refused ADD makes no VRF");
    t.match(node.cni("vrf", "ADD", conf(), call), { status: 0 });
    t.match(node.cni("vrf", "ADD", conf({ vrfname: "red", table: 10 }), { ifName: "far" }), { status: 0 });
    t.strictSame(vrfs(container), ["blue 5", "far in red", "net1 in blue", "red 10", "v1 1", "v4 4"]);
    container.sh("ip link set blue down");
    t.match(node.cni("vrf", "CHECK", conf(), call), { status: 1, stdout: { msg: 'VRF "blue" is down, must be up' } });
    container.sh("ip link delete net1");
    t.match(node.cni("vrf", "DEL", conf(), call), { status: 0, stdout: "" }, "without the interface");
    t.match(node.cni("vrf", "DEL", conf({ vrfname: "br0" }), call), { status: 0 }, "of what is no VRF");
    t.strictSame(vrfs(container), ["red 10", "v1 1", "v4 4"], "which was blue's last one");
  },
);

t.test("vrf: what it cannot work with is refused", needsRoot, async (t) => {
  const node = newHost(t);
  const before = node.snapshot();
  const cases: [Json, Json][] = [
    [conf({ prevResult: undefined }), { code: 7, msg: "missing prevResult from earlier plugin" }],
    [conf({ vrfname: undefined }), { code: 7, msg: "configuration is expected to have a valid vrf name" }],
    [conf({ vrfname: "" }), { code: 7, msg: "configuration is expected to have a valid vrf name" }],
    [conf({ table: -1 }), { code: 7, msg: '"table" is -1, must be from 0 to 4294967295' }],
    [conf({ cniVersion: "0.3.0" }), { code: 1, msg: "incompatible CNI versions" }],
  ];
  for (const [keys, says] of cases) t.match(node.cni("vrf", "ADD", keys), { status: 1, stdout: says });
  t.match(node.cni("vrf", "ADD", conf({ vrfnam: "red" })).stderr, /"vrfnam".*"vrfname"/);
  for (const netns of ["", "/run/netns/gone-long-ago", undefined]) {
    t.match(node.cni("vrf", "DEL", conf(), { environment: { CNI_NETNS: netns } }), { status: 0, stdout: "" });
  }
  t.match(node.cni("vrf", "DEL", conf({ vrfname: undefined })), { status: 0, stdout: "" });
  t.match(node.cni("vrf", "STATUS", conf({ vrfname: undefined })), { status: 1, stdout: { code: 7 } });
  t.strictSame(node.snapshot(), before);
});

t.test("vrf: a name that no new link can have is refused, unless a VRF has it already", needsRoot, async (t) => {
  const node = newHost(t);
  containerWith(node);
  const { status, stdout } = node.cni("vrf", "ADD", conf({ vrfname: "a/b" }), call);
  t.equal(status, 1);
  t.match(stdout, { code: 7, msg: /^"vrfname" is "a\/b", must be an interface name/ });
});

t.test("vrf: STATUS and ADD say when the kernel has no VRFs", needsRoot, async (t) => {
  const node = newHost(t);
  containerWith(node);
  const before = node.snapshot();
  const says = (code: number) =>
    hasVrfs
      ? { status: 0 }
      : { status: 1, stdout: { code, msg: "this kernel cannot create links of kind vrf", details: /modprobe vrf/ } };
  t.match(node.cni("vrf", "STATUS", conf()), says(50));
  t.strictSame(node.snapshot(), before, "and nothing is made");
  t.match(node.cni("vrf", "ADD", conf(), call), says(999));
});
