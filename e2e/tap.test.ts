// The tap plugin on the real kernel, as `ip` sees its devices. Debian has no tap plugin to compare with: what `ip -d link` says here is what it
// says of release 1.9.1's devices.
import t from "tap";
import { type Call, type Host, newHost, type Outcome, type Verb } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";

type Conf = Record<string, unknown>;

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]] };
const network = (keys: Conf = {}): Conf => ({ cniVersion: "1.1.0", name: "net", type: "tap", ...keys });
const call = (node: Host, verb: Verb, conf: Conf, options: Call = {}): Outcome =>
  node.cni("tap", verb, conf, { ifName: "tap0", ...options });

/** @throws Error with the plugin's answer when ADD fails. */
function add(node: Host, conf: Conf, options: Call = {}): { interfaces: { name: string; mac: string }[] } {
  const outcome = call(node, "ADD", conf, options);
  if (outcome.status !== 0) throw new Error(JSON.stringify(outcome));
  return outcome.stdout as ReturnType<typeof add>;
}

interface TapLink {
  address: string;
  mtu: number;
  flags: string[];
  master?: string;
  num_tx_queues: number;
  linkinfo: { info_kind: string; info_data: Record<string, unknown> };
}

function tapOf(node: Host, name = "tap0"): TapLink {
  const [link] = (node.containers[0]?.json("ip", "-d", "-j", "link", "show", name) ?? []) as TapLink[];
  if (link === undefined) throw new Error(`no ${name}`);
  return link;
}

const plain = { type: "tap", pi: false, vnet_hdr: false, multi_queue: false, persist: true };
const kinds: { keys: Conf; is: Conf; queues?: number }[] = [
  { keys: {}, is: plain },
  { keys: { multiQueue: true }, is: { ...plain, multi_queue: true, numqueues: 0, numdisabled: 0 }, queues: 256 },
  { keys: { owner: 1000 }, is: { ...plain, user: "1000" } },
  { keys: { group: 1000 }, is: { ...plain, group: "1000" } },
  { keys: { owner: 0, group: 0 }, is: { ...plain, pi: true, vnet_hdr: true, user: "0", group: "0" } },
  {
    keys: { owner: 1000, group: 100, multiQueue: true },
    is: { ...plain, vnet_hdr: true, multi_queue: true, numqueues: 0, numdisabled: 0, user: "1000", group: "100" },
    queues: 256,
  },
];

for (const { keys, is, queues = 1 } of kinds) {
  t.test(`tap: a device with ${JSON.stringify(keys)} is as the reference plugin's`, needsRoot, async (t) => {
    const node = newHost(t);
    node.sh("ip link add tap0 type veth"); // a host has one of that name, which does not matter
    const answer = add(node, network(keys));
    const link = tapOf(node);
    t.strictSame(link.linkinfo.info_kind, "tun");
    t.strictSame(numbered(node, link.linkinfo.info_data), is);
    t.equal(link.num_tx_queues, queues);
    t.ok(link.flags.includes("UP") && link.flags.includes("NO-CARRIER"), `${link.flags}`);
    t.strictSame(answer.interfaces, [{ name: "tap0", mac: link.address, sandbox: node.containers[0]?.path }]);
    t.match(call(node, "CHECK", network({ ...keys, prevResult: answer })), { status: 0, stdout: "" });
    for (const again of ["once", "twice"])
      t.match(call(node, "DEL", network({ ...keys, prevResult: answer })), { status: 0, stdout: "" }, again);
    t.strictSame(Object.keys(node.snapshot().namespaces[`${node.name}-c0`]?.links ?? {}), ["lo"]);
  });
}

/** `ip` has names for users and groups of this machine. */
function numbered(node: Host, data: Record<string, unknown>): Record<string, unknown> {
  const idOf = (database: string, name: unknown) => node.sh(`getent ${database} ${name} | cut -d: -f3`).trim();
  const { user, group, ...rest } = data;
  return {
    ...rest,
    ...(user !== undefined && { user: idOf("passwd", user) || user }),
    ...(group !== undefined && { group: idOf("group", group) || group }),
  };
}

t.test("tap: mac and mtu count in every combination, and from every source", needsRoot, async (t) => {
  const macs = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"];
  const asked: { keys: Conf; args?: string; mac: string | undefined }[] = [
    { keys: { mac: macs[0], mtu: 1400 }, mac: macs[0] },
    { keys: { mac: macs[0], mtu: 1400, owner: 1, group: 2 }, mac: macs[0] },
    { keys: { mac: macs[0], mtu: 1400 }, args: `IgnoreUnknown=1;MAC=${macs[1]}`, mac: macs[1] },
    { keys: { mac: macs[0], mtu: 1400, runtimeConfig: { mac: macs[2] } }, args: `MAC=${macs[1]}`, mac: macs[2] },
  ];
  for (const { keys, args = "", mac } of asked) {
    const node = newHost(t);
    const answer = add(node, network(keys), { args });
    t.match(tapOf(node), { address: mac, mtu: 1400 });
    t.equal(answer.interfaces[0]?.mac, mac);
  }
});

t.test("tap: a port of a bridge in the container", needsRoot, async (t) => {
  const node = newHost(t);
  const [container] = node.containers;
  container?.sh("ip link add br0 type bridge; ip link set br0 up");
  node.sh("ip link add br1 type bridge");
  const conf = network({ bridge: "br0" });
  const answer = add(node, conf);
  t.equal(tapOf(node).master, "br0");
  const held = { ...conf, prevResult: answer };
  t.match(call(node, "CHECK", held), { status: 0 });
  container?.sh("ip link set tap0 nomaster");
  t.match(call(node, "CHECK", held), { stdout: { msg: `"tap0" is not a port of bridge "br0"` } });
  t.match(call(node, "DEL", held), { status: 0 });
  t.match(call(node, "ADD", network({ bridge: "br1" })), {
    status: 1,
    stdout: { code: 999, msg: `there is no bridge "br1" in ${container?.path}` },
  });
});

t.test("tap: addresses and routes, without waiting for a carrier", needsRoot, async (t) => {
  const node = newHost(t);
  const [container] = node.containers;
  const conf = network({ ipam: { ...ipam, routes: [{ dst: "192.0.2.0/24" }, { dst: "2001:db8::/32" }] } });
  const started = performance.now();
  const answer = add(node, conf);
  t.ok(performance.now() - started < 4000, "Go waits 5 s for an IPv6 address to be usable");
  t.match(container?.sh("ip address show tap0"), /inet 10\.1\.0\.2\/24.*inet6 fd00:1::2\/64/s);
  t.match(container?.sh("ip route"), /192\.0\.2\.0\/24 via 10\.1\.0\.1 dev tap0/);
  t.match(container?.sh("ip -6 route"), /2001:db8::\/32 via fd00:1::1 dev tap0/);
  t.equal(container?.sh("cat /proc/sys/net/ipv4/conf/tap0/arp_notify").trim(), "1");
  const held = { ...conf, prevResult: answer };
  t.match(call(node, "CHECK", held), { status: 0, stdout: "" });
  container?.sh("ip link set tap0 address 02:00:00:00:00:77");
  t.match(call(node, "CHECK", held), { status: 1, stdout: { msg: /has MAC 02:00:00:00:00:77, not / } });
  t.match(call(node, "DEL", held, { environment: { CNI_NETNS: "" } }), { status: 0 });
  t.notOk("cni/networks/net/10.1.0.2" in node.snapshot().files, "the address is free");
});

t.test("tap: a name that is taken is refused, and what has it stays", needsRoot, async (t) => {
  const node = newHost(t);
  const [container] = node.containers;
  for (const make of ["ip link add tap0 type veth", "ip tuntap add mode tap name tap0"]) {
    container?.sh(make);
    const before = node.snapshot();
    t.match(call(node, "ADD", network({ ipam })), {
      status: 1,
      stdout: { code: 999, msg: `interface "tap0" already exists in ${container?.path}` },
    });
    t.strictSame(node.snapshot(), before, make);
    container?.sh("ip link delete tap0");
  }
});

t.test("tap: an ADD that cannot be done says why, and leaves nothing", needsRoot, async (t) => {
  const node = newHost(t);
  const [container] = node.containers;
  container?.sh("ip link add port type veth");
  const before = node.snapshot();
  const refusals: { keys: Conf; says: Conf }[] = [
    {
      keys: { bridge: "port" },
      says: { code: 999, msg: `the kernel refuses bridge "port" on "tap0"` },
    },
    { keys: { mac: "01:00:00:00:00:01" }, says: { code: 7, msg: /"mac" is "01:00:00:00:00:01", must be .*multicast/ } },
    { keys: { mtu: 70000 }, says: { code: 7, msg: /mtu/ } },
    { keys: { owner: -1 }, says: { code: 7, msg: /owner/ } },
    { keys: { mac: "nonsense" }, says: { code: 7, msg: /nonsense/ } },
    {
      keys: { selinuxContext: "system_u:system_r:container_t:s0" },
      says: {
        code: 999,
        msg: `cannot set the SELinux context "system_u:system_r:container_t:s0"`,
        details: /check that the host has SELinux/,
      },
    },
    { keys: { ipam: { type: "no-such-ipam" } }, says: { msg: /failed to find plugin "no-such-ipam"/ } },
  ];
  for (const { keys, says } of refusals) {
    t.match(call(node, "ADD", network(keys)), { status: 1, stdout: says });
    t.strictSame(node.snapshot(), before, JSON.stringify(keys));
  }
});

t.test("tap: a label that cannot be reset leaves no device", needsRoot, async (t) => {
  const node = newHost(t);
  const before = node.snapshot();
  const selinuxContext = "system_u:system_r:container_t:s0";
  // As on a host with SELinux the label is set; the kernel, which has none, refuses the reset. `ip` is not traced: it succeeds.
  const inject = ["-e", "trace=write", "-e", `inject=write:retval=${selinuxContext.length}:when=1`];
  const under = ["strace", "-qq", "-o", "/var/lib/trace", ...inject];
  t.match(call(node, "ADD", network({ selinuxContext }), { under }), {
    status: 1,
    stdout: { msg: /attr\/exec: EINVAL$/ },
  });
  t.match(node.sh("cat /var/lib/trace; rm /var/lib/trace"), /"system_u:.*INJECTED.*"\\n".*EINVAL/s);
  t.strictSame(node.snapshot(), before);
});

t.test("tap: `ip` is not needed", needsRoot, async (t) => {
  const node = newHost(t);
  add(node, network({ owner: 1000, multiQueue: true }), { under: ["env", "PATH=/none"] });
  t.match(tapOf(node).linkinfo.info_data, { multi_queue: true });
});
