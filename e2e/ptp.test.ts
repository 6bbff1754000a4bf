// The ptp plugin, as a runtime calls it, on the real kernel.
import t from "tap";
import { type Call, type Host, newHost, type Outcome, type Verb } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";

type Conf = Record<string, unknown>;

interface Answer {
  interfaces: { name: string; mac: string; sandbox?: string }[];
  ips: { address: string; gateway?: string; interface: number }[];
}

const dual = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };
const fixed = (addresses: object[], more: object = {}) => ({ type: "static", addresses, ...more });
const network = (keys: Conf = {}): Conf => ({ cniVersion: "1.1.0", name: "net", type: "ptp", ipam: dual, ...keys });

const call = (node: Host, verb: Verb, conf: Conf, options: Call = {}): Outcome => node.cni("ptp", verb, conf, options);

/** @throws Error with the plugin's answer when ADD fails. */
function add(node: Host, conf: Conf, options: Call = {}): Answer {
  const outcome = call(node, "ADD", conf, options);
  if (outcome.status !== 0) throw new Error(JSON.stringify(outcome));
  return outcome.stdout as Answer;
}

const reaches = (from: { run: Host["run"] } | undefined, target: string) =>
  from?.run("ping", "-c1", "-W2", target).status === 0;

t.test(
  "ptp: containers reach the host and each other at once, CHECK agrees, DEL takes all of it back",
  needsRoot,
  async (t) => {
    const node = newHost(t, { containers: 2 });
    const [one, two] = node.containers;
    node.sh("echo 1 > /proc/sys/net/ipv6/conf/default/accept_dad"); // as on every host
    const first = add(node, network({ ipMasq: true }));
    const before = node.snapshot();
    const second = add(node, network({ ipMasq: true }), { container: 1 });
    t.match(second, {
      interfaces: [{ name: /^veth[0-9a-f]{8}$/ }, { name: "eth0", sandbox: two?.path }],
      ips: [
        { address: "10.1.0.3/24", gateway: "10.1.0.1", interface: 1 },
        { address: "fd00:1::3/64", gateway: "fd00:1::1", interface: 1 },
      ],
    });
    for (const target of ["10.1.0.1", "fd00:1::1", "10.1.0.3", "fd00:1::3"]) t.ok(reaches(one, target), target);
    for (const target of ["10.1.0.2", "fd00:1::2"]) t.ok(reaches(node, target), `the host: ${target}`);
    const [outside] = second.interfaces;
    t.match(node.sh("ip route"), `10.1.0.3 dev ${outside?.name} scope host`);
    t.match(two?.sh("ip route"), "10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.3");
    t.equal(node.snapshot().namespaces[node.name]?.links[outside?.name ?? ""]?.alias, "cni net container-1 eth0");
    for (const [i, prevResult] of [first, second].entries())
      t.match(call(node, "CHECK", network({ prevResult }), { container: i }), { status: 0, stdout: "" });

    for (const again of ["once", "twice"])
      t.match(call(node, "DEL", network({ ipMasq: true, prevResult: second }), { container: 1 }), { status: 0 }, again);
    const after = node.snapshot();
    t.strictSame(after.namespaces, before.namespaces, "links, routes and rules are as before the second container");
    t.notOk("cni/networks/net/10.1.0.3" in after.files, "its address is free");
  },
);

t.test("ptp: an ADD with IPv6 does not wait for duplicates", needsRoot, async (t) => {
  const node = newHost(t);
  node.sh("echo 1 > /proc/sys/net/ipv6/conf/default/accept_dad");
  node.containers[0]?.sh("echo 1 > /proc/sys/net/ipv6/conf/default/accept_dad");
  add(node, network());
  for (const at of [node, node.containers[0]])
    t.notMatch(at?.sh("ip -6 address show scope global"), /tentative/, "nobody looks for them");
  call(node, "DEL", network());
  const took = Array.from({ length: 5 }, () => {
    const started = performance.now();
    add(node, network());
    const ms = performance.now() - started;
    call(node, "DEL", network());
    return ms;
  });
  t.ok(Math.min(...took) < 500, `${took.map(Math.round)} ms, with the start of the namespace's commands`);
});

t.test("ptp: a gateway outside the subnet, and an address that is all of its subnet", needsRoot, async (t) => {
  const ipam = fixed(
    [
      { address: "10.1.0.5/32", gateway: "169.254.1.1" },
      { address: "10.2.0.5/24", gateway: "169.254.1.1" },
      { address: "fd00:1::5/128", gateway: "fd00:9::1" },
    ],
    { routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }] },
  );
  const node = newHost(t);
  const [container] = node.containers;
  const answer = add(node, network({ ipam }));
  node.sh("ip address add 192.0.2.1/32 dev lo; ip address add 2001:db8::1/128 dev lo");
  for (const target of ["192.0.2.1", "2001:db8::1"]) t.ok(reaches(container, target), `the default route: ${target}`);
  for (const target of ["10.1.0.5", "10.2.0.5", "fd00:1::5"]) t.ok(reaches(node, target), `the host: ${target}`);
  t.match(call(node, "CHECK", network({ ipam, prevResult: answer })), { status: 0 });
});

t.test("ptp: two addresses of one subnet share gateway and route", needsRoot, async (t) => {
  const gateway = "10.1.0.1";
  const ipam = fixed([
    { address: "10.1.0.5/24", gateway },
    { address: "10.1.0.6/24", gateway },
  ]);
  const node = newHost(t);
  add(node, network({ ipam }));
  for (const target of ["10.1.0.5", "10.1.0.6"]) t.ok(reaches(node, target), target);
});

t.test("ptp: masquerade by either backend, which DEL and GC find by its owner", needsRoot, async (t) => {
  const rules = (node: Host) => {
    const { nft = [], iptables = [] } = node.snapshot().namespaces[node.name] ?? {};
    return [...new Set([...nft, ...iptables].flatMap((line) => line.match(/container-\d/g) ?? []))].sort();
  };
  for (const ipMasqBackend of ["iptables", "nftables"]) {
    const node = newHost(t, { containers: 2 });
    const conf = network({ ipMasq: true, ipMasqBackend });
    for (const container of [0, 1]) add(node, conf, { container });
    t.strictSame(rules(node), ["container-0", "container-1"], ipMasqBackend);
    t.match(call(node, "DEL", conf, { environment: { CNI_NETNS: "/run/netns/gone" } }), { status: 0 });
    t.strictSame(rules(node), ["container-1"], `${ipMasqBackend}: DEL without the namespace`);
    t.match(call(node, "GC", { ...conf, "cni.dev/valid-attachments": [] }), { status: 0 });
    t.strictSame(rules(node), [], `${ipMasqBackend}: GC`);
    t.strictSame(Object.keys(node.snapshot().namespaces[node.name]?.links ?? {}), ["lo"]);
  }
});

t.test("ptp: an ADD that cannot be done says why, and leaves nothing", needsRoot, async (t) => {
  const address = "10.1.0.5/24";
  const refusals: {
    conf: Conf;
    prepare?: string;
    inContainer?: string;
    code: number;
    msg: string | RegExp;
  }[] = [
    {
      conf: network({ ipam: fixed([{ address }]) }),
      code: 999,
      msg: "address 10.1.0.5/24 of the IPAM plugin has no gateway, which is the address of the host's end",
    },
    {
      conf: network({ ipam: fixed([{ address, gateway: "10.1.0.1" }]) }),
      prepare: "ip link add other type veth; ip link set other up; ip route add 10.1.0.5/32 dev other",
      code: 999,
      msg: "the host already has a route to 10.1.0.5 over another link",
    },
    {
      conf: network({ ipam: fixed([{ address, gateway: "10.1.0.1" }]) }),
      inContainer: "ip link add other type bridge; ip link set other up; ip route add 10.1.0.1 dev other",
      code: 999,
      msg: "the container already has a route to 10.1.0.1/32 over another interface",
    },
    {
      conf: network({
        ipam: fixed([{ address, gateway: "10.1.0.1" }], { routes: [{ dst: "192.0.2.0/24", gw: "203.0.113.1" }] }),
      }),
      code: 999,
      msg: `the kernel refuses route 192.0.2.0/24 via 203.0.113.1 on "eth0"`,
    },
    { conf: network({ ipam: {} }), code: 7, msg: `no plugin name provided: "ipam" has no "type"` },
    { conf: network({ mtu: 70000 }), code: 7, msg: /mtu/ },
    { conf: network({ ipMasqBackend: "ebtables" }), code: 7, msg: /ipMasqBackend/ },
  ];
  for (const { conf, prepare = "", inContainer = "", code, msg } of refusals) {
    const node = newHost(t);
    node.sh(prepare);
    node.containers[0]?.sh(inContainer);
    const before = node.snapshot();
    t.match(call(node, "ADD", conf), { status: 1, stdout: { code, msg } });
    t.strictSame(node.snapshot(), before, String(msg));
  }
});

t.test("ptp: CHECK sees what is missing on the host", needsRoot, async (t) => {
  const missing: { damage: (outside: string) => string; msg: RegExp }[] = [
    {
      damage: (outside) => `ip address del 10.1.0.1/32 dev ${outside}`,
      msg: /^gateway 10\.1\.0\.1 is not on "veth\w+"$/,
    },
    { damage: () => "ip route del 10.1.0.2", msg: /^the host has no route to 10\.1\.0\.2 over "veth\w+"$/ },
    { damage: () => "ip -6 route del fd00:1::2", msg: /^the host has no route to fd00:1::2 over "veth\w+"$/ },
    { damage: (outside) => `ip link set ${outside} down`, msg: /^"veth\w+", the host's end, is down, must be up$/ },
    {
      damage: (outside) => `ip link set ${outside} down; ip link set ${outside} name other`,
      msg: /^the host end of "eth0" is missing$/,
    },
  ];
  for (const { damage, msg } of missing) {
    const node = newHost(t);
    const prevResult = add(node, network());
    node.sh(damage(prevResult.interfaces[0]?.name ?? ""));
    t.match(call(node, "CHECK", network({ prevResult })), { status: 1, stdout: { code: 999, msg } });
  }
});

t.test("ptp: STATUS asks IPAM", needsRoot, async (t) => {
  const node = newHost(t);
  t.match(call(node, "STATUS", network()), { status: 0, stdout: "" });
  t.match(call(node, "STATUS", network({ ipam: { type: "no-such-ipam" } })), { status: 1 });
  t.match(call(node, "STATUS", network({ ipam: {} })), { status: 1, stdout: { code: 7 } });
});
