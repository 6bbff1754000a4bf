// The bridge plugin, as a runtime calls it, on the real kernel.
import { spawnSync } from "node:child_process";
import { setTimeout } from "node:timers/promises";
import t from "tap";
import { type Call, type Host, newHost, type Outcome, type Verb } from "./lab/host.ts";
import { inFullRunOnly, needsKernel, needsRoot } from "./lab/needs.ts";

const version = "1.1.0";

interface Netconf {
  [key: string]: unknown;
}

const ranges = (...subnets: string[]) => ({ type: "host-local", ranges: subnets.map((subnet) => [{ subnet }]) });

/** A network like most: addresses, a gateway, a default route. */
function network(keys: Netconf = {}): Netconf {
  const ipam = ranges("10.22.0.0/24");
  return { cniVersion: version, name: "podnet", type: "bridge", bridge: "br0", isDefaultGateway: true, ipam, ...keys };
}

interface Answer {
  interfaces: { name: string; mac: string; sandbox?: string }[];
  ips: { address: string; gateway?: string; interface: number }[];
  routes?: { dst: string; gw?: string }[];
  dns?: unknown;
}

function call(node: Host, verb: Verb, conf: Netconf, options: Call = {}): Outcome {
  return node.cni("bridge", verb, conf, options);
}

/** @throws Error with the plugin's answer when ADD fails. */
function add(node: Host, conf: Netconf, options: Call = {}): Answer {
  const outcome = call(node, "ADD", conf, options);
  if (outcome.status !== 0) throw new Error(JSON.stringify(outcome));
  return outcome.stdout as Answer;
}

const bridgeOf = (answer: Answer) => answer.interfaces[0];
const outsideOf = (answer: Answer) => answer.interfaces[1]?.name ?? "";

/** Flags and settings of a bridge port. */
function portOf(node: Host, answer: Answer): Record<string, unknown> {
  const [port] = node.json("bridge", "-d", "-j", "link", "show", "dev", outsideOf(answer)) as [Record<string, unknown>];
  return port;
}

const sysctl = (node: { sh(script: string): string }, name: string) => node.sh(`cat /proc/sys/net/${name}`).trim();

t.test(
  "ADD connects containers to each other and to the host; CHECK agrees; DEL takes all of it back",
  needsRoot,
  async (t) => {
    const node = newHost(t, { containers: 2 });
    const [one, two] = node.containers;
    const first = add(node, network());
    const before = node.snapshot();
    const second = add(node, network(), { container: 1 });

    t.match(first, {
      interfaces: [{ name: "br0" }, { name: /^veth[0-9a-f]{8}$/ }, { name: "eth0", sandbox: one?.path }],
      ips: [{ address: "10.22.0.2/24", gateway: "10.22.0.1", interface: 2 }],
      routes: [{ dst: "0.0.0.0/0", gw: "10.22.0.1" }],
    });
    t.match(one?.sh("ip address show eth0"), "inet 10.22.0.2/24");
    t.match(one?.sh("ip route"), "default via 10.22.0.1 dev eth0");
    t.match(node.sh("ip address show br0"), "inet 10.22.0.1/24");
    t.equal(sysctl(node, "ipv4/ip_forward"), "1");
    for (const target of ["10.22.0.3", "10.22.0.1"])
      t.equal(one?.run("ping", "-c1", "-W2", target).status, 0, `one reaches ${target}`);
    t.equal(two?.run("ping", "-c1", "-W2", "10.22.0.2").status, 0, "two reaches one");
    t.equal(bridgeOf(second)?.mac, bridgeOf(first)?.mac, "the bridge keeps its MAC");
    t.not(bridgeOf(first)?.mac, first.interfaces[1]?.mac, "it is not the port's");

    t.equal(call(node, "CHECK", network({ prevResult: first })).status, 0);
    t.equal(call(node, "DEL", network({ prevResult: second }), { container: 1 }).status, 0);
    const after = node.snapshot();
    t.strictSame(after.namespaces, before.namespaces, "links, routes and rules are as before the second container");
    t.notOk("cni/networks/podnet/10.22.0.3" in after.files, "its address is free");
  },
);

t.test("the bridge is made once and used again", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  const index = () => (node.json("ip", "-j", "link", "show", "br0") as { ifindex: number }[])[0]?.ifindex;
  add(node, network({ mtu: 1400 }));
  const made = index();
  add(node, network({ mtu: 1300 }), { container: 1 });
  t.equal(index(), made);
  t.match(node.sh("ip link show br0"), "mtu 1300", "its MTU follows its ports, as every bridge's");
  t.match(node.containers[0]?.sh("ip link show eth0"), "mtu 1400");
});

t.test("dual stack with three subnets", needsRoot, async (t) => {
  const node = newHost(t);
  node.containers[0]?.sh("echo 1 > /proc/sys/net/ipv6/conf/default/accept_dad"); // as in every container
  const conf = network({ ipam: ranges("10.22.0.0/24", "fd00:22::/64", "fd00:23::/64") });
  const answer = add(node, conf);
  t.strictSame(
    answer.ips.map(({ address, gateway }) => [address, gateway]),
    [
      ["10.22.0.2/24", "10.22.0.1"],
      ["fd00:22::2/64", "fd00:22::1"],
      ["fd00:23::2/64", "fd00:23::1"],
    ],
  );
  t.strictSame(answer.routes, [
    { dst: "0.0.0.0/0", gw: "10.22.0.1" },
    { dst: "::/0", gw: "fd00:22::1" },
  ]);
  t.equal(call(node, "CHECK", { ...conf, prevResult: answer }).status, 0);
  t.equal(node.containers[0]?.run("ping", "-6", "-c1", "-W2", "fd00:22::1").status, 0, "IPv6 works at once");
  t.equal(sysctl(node, "ipv6/conf/all/forwarding"), "1");
  t.notMatch(node.containers[0]?.sh("ip -6 address show eth0"), "tentative", "no duplicate address detection");
});

t.test(
  "the first container of a bridge reaches its IPv6 gateway at once, unless duplicates are looked for",
  needsRoot,
  async (t) => {
    for (const enabledad of [false, true]) {
      const node = newHost(t);
      node.sh("echo 1 > /proc/sys/net/ipv6/conf/default/accept_dad"); // as on every host
      add(node, network({ enabledad, ipam: ranges("fd00:22::/64") }));
      const [, gateway = ""] = node.sh("ip -o -6 address show br0 scope global").match(/inet6 (fd00:22::1.*)/) ?? [];
      t.equal(gateway.includes("tentative"), enabledad, gateway);
    }
  },
);

t.test("below 0.3.0 there is one address per family on ADD; DEL goes on by the owner", needsRoot, async (t) => {
  const node = newHost(t);
  const conf = network({ cniVersion: "0.2.0", ipam: ranges("10.22.0.0/24", "192.168.7.0/24") });
  const before = node.snapshot();
  const limit = /CNI version 0.2.0 does not support more than 1 address per family/;
  t.match(call(node, "ADD", conf), { status: 1, stdout: { msg: limit } });
  t.match(call(node, "DEL", conf), { status: 0, stdout: "", stderr: limit });
  const { br0: _, ...links } = node.snapshot().namespaces[node.name]?.links ?? {};
  t.strictSame(Object.keys(links), Object.keys(before.namespaces[node.name]?.links ?? {}), "only the bridge stays");
});

t.test("a layer 2 network has no addresses, and CHECK knows that", needsRoot, async (t) => {
  for (const ipam of [undefined, {}]) {
    const node = newHost(t);
    const conf = network({ isDefaultGateway: false, ipam });
    const answer = add(node, conf);
    t.match(node.containers[0]?.sh("ip link show eth0"), /[<,]UP[,>]/);
    t.notOk(answer.ips, "no addresses in the result");
    t.equal(call(node, "CHECK", { ...conf, prevResult: answer }).status, 0);
    t.equal(call(node, "DEL", { ...conf, prevResult: answer }).status, 0);
  }
});

t.test("disableContainerInterface leaves the interface down", needsRoot, async (t) => {
  const node = newHost(t);
  add(node, network({ isDefaultGateway: false, ipam: {}, disableContainerInterface: true }));
  t.notMatch(node.containers[0]?.sh("ip link show eth0"), /[<,]UP[,>]/);
});

t.test("port settings: hairpin, isolation, promiscuous bridge", needsRoot, async (t) => {
  const node = newHost(t, { containers: 3 });
  t.match(portOf(node, add(node, network())), { hairpin: false, isolated: false });
  t.match(portOf(node, add(node, network({ hairpinMode: true }), { container: 1 })), {
    hairpin: true,
    isolated: false,
  });
  const isolated = network({ portIsolation: true, promiscMode: true });
  const answer = add(node, isolated, { container: 2 });
  t.match(portOf(node, answer), { hairpin: false, isolated: true });
  t.match(node.sh("ip link show br0"), "PROMISC");
  t.equal(call(node, "CHECK", { ...isolated, prevResult: answer }, { container: 2 }).status, 0);
  node.sh("ip link set br0 promisc off");
  t.match(call(node, "CHECK", { ...isolated, prevResult: answer }, { container: 2 }).stdout, {
    msg: 'bridge "br0" is not promiscuous, as "promiscMode" wants it',
  });
});

t.test("a MAC comes from runtimeConfig, args.cni or CNI_ARGS", needsRoot, async (t) => {
  const node = newHost(t, { containers: 3 });
  const macs = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"];
  const answers = [
    add(node, network({ runtimeConfig: { mac: macs[0] }, args: { cni: { mac: macs[1] } } })),
    add(node, network({ args: { cni: { mac: macs[1] } } }), { container: 1, args: `IgnoreUnknown=1;MAC=${macs[2]}` }),
    add(node, network(), { container: 2, args: `IgnoreUnknown=1;MAC=${macs[2]}` }),
  ];
  t.strictSame(
    answers.map(({ interfaces }) => interfaces[2]?.mac),
    macs,
  );
});

t.test("the network's dns goes before IPAM's, when it says anything", needsRoot, async (t) => {
  const node = newHost(t, { containers: 2 });
  node.write("/var/lib/resolv.conf", "nameserver 192.0.2.53\n");
  const ipam = { ...ranges("10.22.0.0/24"), resolvConf: "/var/lib/resolv.conf" };
  t.strictSame(add(node, network({ ipam, dns: {} })).dns, { nameservers: ["192.0.2.53"] });
  t.strictSame(add(node, network({ ipam, dns: { search: ["example.org"] } }), { container: 1 }).dns, {
    search: ["example.org"],
  });
});

t.test("the gateway's address", needsRoot, async (t) => {
  const conflicts: {
    claim: string;
    first: string;
    second: string;
    force?: boolean;
    found: string[];
    refused?: boolean;
  }[] = [
    {
      claim: "another IPv4 address in use is an error",
      first: "10.0.0.0/8",
      second: "10.1.0.0/16",
      found: ["10.0.0.1/8"],
      refused: true,
    },
    {
      claim: "forceAddress replaces it",
      first: "10.0.0.0/8",
      second: "10.1.0.0/16",
      force: true,
      found: ["10.1.0.1/16"],
    },
    {
      claim: "overlapping IPv6 in use is an error",
      first: "2001:db8:1::/48",
      second: "2001:db8:1:0::/64",
      found: ["2001:db8:1::1/48"],
      refused: true,
    },
    {
      claim: "forceAddress replaces overlapping IPv6",
      first: "2001:db8:1::/48",
      second: "2001:db8:1:0::/64",
      force: true,
      found: ["2001:db8:1::1/64"],
    },
    {
      claim: "disjoint IPv6 networks share the bridge",
      first: "2001:db8:1:2::/64",
      second: "fd00:1234::/64",
      found: ["2001:db8:1:2::1/64", "fd00:1234::1/64"],
    },
  ];
  for (const { claim, first, second, force, found, refused } of conflicts) {
    const node = newHost(t, { containers: 2 });
    add(node, network({ name: "one", ipam: ranges(first) }));
    const conf = network({ name: "two", ipam: ranges(second), forceAddress: force ?? false });
    const before = node.snapshot().namespaces;
    const outcome = call(node, "ADD", conf, { container: 1 });
    t.equal(outcome.status, refused ? 1 : 0, claim);
    if (refused) {
      t.match(outcome.stdout, {
        msg: /^"br0" already has an IP address different from /,
        details: /"forceAddress": true/,
      });
      t.strictSame(node.snapshot().namespaces, before, "and nothing is left of the attempt");
    }
    const shown = node.sh("ip -o address show br0 scope global");
    t.strictSame([...shown.matchAll(/inet6? (\S+)/g)].map(([, address]) => address).sort(), found, claim);
  }
});

t.test("a bridge that nobody uses any more follows its network to a new subnet", needsRoot, async (t) => {
  const node = newHost(t);
  add(node, network());
  call(node, "DEL", network());
  add(node, network({ ipam: ranges("10.23.0.0/24") }));
  t.match(node.sh("ip address show br0"), "inet 10.23.0.1/24");
  t.notMatch(node.sh("ip address show br0"), "10.22.0.1");
});

t.test(
  "enabledad: an address that another host on the link has is an error, and leaves nothing",
  needsRoot,
  async (t) => {
    const node = newHost(t, { containers: 2 });
    const ipam = (start: string) => ({
      type: "host-local",
      ranges: [[{ subnet: "fd00:22::/64", rangeStart: start, rangeEnd: start }]],
    });
    add(node, network({ name: "one", ipam: ipam("fd00:22::5") }));
    const before = node.snapshot().namespaces;
    const outcome = call(node, "ADD", network({ name: "two", enabledad: true, ipam: ipam("fd00:22::5") }), {
      container: 1,
    });
    t.match(outcome.stdout, { code: 999, msg: 'address fd00:22::5/64 of "eth0" is used by another host on the link' });
    t.strictSame(node.snapshot().namespaces, before);
    t.notOk(
      Object.keys(node.snapshot().files).some((file) => file.endsWith("two/fd00:22::5")),
      "the address is given back",
    );
  },
);

t.test("refused ADDs change nothing", needsRoot, async (t) => {
  const refusals: {
    claim: string;
    prepare?: string;
    inside?: string;
    keys?: Netconf;
    options?: Call;
    code: number;
    msg: string | RegExp;
  }[] = [
    {
      claim: "the interface exists",
      inside: "ip link add eth0 type bridge",
      code: 999,
      msg: /^interface "eth0" already exists in \/run\/netns\//,
    },
    {
      claim: "the bridge's name is taken by another kind of link",
      prepare: "ip link add br0 type veth peer name other",
      code: 999,
      msg: '"br0" already exists but is not a bridge (it is of kind veth)',
    },
    { claim: "an unknown IPAM plugin", keys: { ipam: { type: "host-locla" } }, code: 999, msg: /host-locla/ },
    {
      claim: "the subnet is too small",
      keys: { ipam: ranges("10.22.0.0/31") },
      code: 7,
      msg: /too small to allocate from/,
    },
    {
      claim: "the namespace is missing",
      options: { environment: { CNI_NETNS: "/run/netns/none" } },
      code: 4,
      msg: /"\/run\/netns\/none"/,
    },
    {
      claim: "the namespace is a file",
      options: { environment: { CNI_NETNS: "/etc/passwd" } },
      code: 4,
      msg: /"\/etc\/passwd"/,
    },
    { claim: "CNI_PATH is empty", options: { path: "" }, code: 4, msg: /CNI_PATH/ },
  ];
  for (const { claim, prepare, inside, keys, options, code, msg } of refusals) {
    const node = newHost(t);
    if (prepare) node.sh(prepare);
    else {
      add(node, network());
      call(node, "DEL", network()); // the bridge stays, as it does on every node
    }
    if (inside) node.containers[0]?.sh(inside);
    const before = node.snapshot().namespaces;
    const outcome = call(node, "ADD", network(keys), options);
    t.equal(outcome.status, 1, claim);
    t.match(outcome.stdout, { code, msg, details: /To fix: ./ }, claim);
    t.strictSame(node.snapshot().namespaces, before, claim);
  }
});

t.test("a second ADD for an interface is refused and harms nothing", needsRoot, async (t) => {
  const node = newHost(t);
  add(node, network());
  const before = node.snapshot();
  t.match(call(node, "ADD", network()).stdout, { msg: /already exists/ });
  const after = node.snapshot();
  t.strictSame(after.namespaces, before.namespaces);
  t.equal(after.files["cni/networks/podnet/10.22.0.2"], before.files["cni/networks/podnet/10.22.0.2"]);
});

t.test("DEL succeeds and leaves nothing, whatever is gone already", needsRoot, async (t) => {
  const cases: { claim: string; spoil?: (node: Host) => void; options?: Call; withResult?: boolean }[] = [
    { claim: "nothing is gone" },
    { claim: "with the result of ADD", withResult: true },
    { claim: "the namespace is not named", options: { environment: { CNI_NETNS: undefined } } },
    { claim: "the namespace is not there", options: { environment: { CNI_NETNS: "/run/netns/gone" } } },
    { claim: "the interface is gone", spoil: (node) => void node.containers[0]?.sh("ip link del eth0") },
    { claim: "the bridge is gone", spoil: (node) => void node.sh("ip link del br0") },
    { claim: "the rules are gone", spoil: (node) => void node.sh("nft flush ruleset") },
  ];
  for (const { claim, spoil, options, withResult } of cases) {
    const node = newHost(t);
    const conf = network({ ipMasq: true, macspoofchk: true });
    const answer = add(node, conf);
    spoil?.(node);
    const asked = withResult ? { ...conf, prevResult: answer } : conf;
    for (const time of ["once", "twice"])
      t.strictSame(
        call(node, "DEL", asked, options),
        { status: 0, signal: null, stdout: "", stderr: "" },
        `${claim}, ${time}`,
      );
    const { namespaces, files } = node.snapshot();
    t.strictSame(
      Object.keys(namespaces[node.name]?.links ?? {}).filter((name) => name.startsWith("veth")),
      [],
      `no link: ${claim}`,
    );
    t.notOk("cni/networks/podnet/10.22.0.2" in files, `no address: ${claim}`);
    const rules = JSON.stringify([namespaces[node.name]?.nft, namespaces[node.name]?.iptables]);
    t.notMatch(rules, /10\.22\.0\.2|container-0/, `no rule: ${claim}`);
  }
});

t.test("TWILL_FAST_DEL: the link is gone when DEL ends, and soon nothing runs any more", needsRoot, async (t) => {
  const node = newHost(t);
  const environment = { TWILL_FAST_DEL: "1" };
  const conf = network({ ipMasq: true });
  for (let round = 0; round < 5; round++) {
    const answer = add(node, conf);
    t.strictSame(call(node, "DEL", conf, { environment }), { status: 0, signal: null, stdout: "", stderr: "" });
    const links = `${node.sh("ip -o link")}${node.containers[0]?.sh("ip -o link")}`;
    t.notMatch(links, new RegExp(`${outsideOf(answer)}|eth0`), "no link");
  }
  t.equal(call(node, "DEL", conf, { environment }).status, 0, "again, with nothing there");
  const deadline = Date.now() + 10_000;
  const inside = () => spawnSync("ip", ["netns", "pids", node.name], { encoding: "utf8" }).stdout;
  while (inside() !== "" && Date.now() < deadline) await setTimeout(10);
  t.equal(inside(), "", "the child that waited has ended");
});

t.test("GC removes what belongs to no valid attachment, and nothing else", needsRoot, async (t) => {
  const node = newHost(t, { containers: 3 });
  const conf = network({ ipMasq: true, macspoofchk: true });
  const answers = [0, 1, 2].map((container) => add(node, conf, { container }));
  const other = network({ name: "other", bridge: "br1", ipam: ranges("10.99.0.0/24") });
  add(node, other, { container: 0, ifName: "eth1" });
  const valid = [{ containerID: node.containers[1]?.id, ifname: "eth0" }];
  t.strictSame(call(node, "GC", { ...conf, "cni.dev/valid-attachments": valid }), {
    status: 0,
    signal: null,
    stdout: "",
    stderr: "",
  });

  const { namespaces, files } = node.snapshot();
  const links = Object.keys(namespaces[node.name]?.links ?? {});
  t.strictSame(
    answers.map((answer) => links.includes(outsideOf(answer))),
    [false, true, false],
  );
  t.match(node.containers[0]?.sh("ip -o link"), "eth1", "other networks are not touched");
  const held = Object.keys(files).filter((file) => /networks\/\w+\/\d/.test(file));
  t.strictSame(held.sort(), ["cni/networks/other/10.99.0.2", "cni/networks/podnet/10.22.0.3"]);
  const rules = JSON.stringify([namespaces[node.name]?.nft, namespaces[node.name]?.iptables]);
  t.match(rules, "container-1");
  t.notMatch(rules, /container-[02]\b/);
});

t.test("CHECK names what is not as ADD made it", needsRoot, async (t) => {
  const cases: { spoil: string; where: "host" | "container"; msg: string | RegExp }[] = [
    {
      spoil: "ip addr del 10.22.0.2/24 dev eth0",
      where: "container",
      msg: /^address 10.22.0.2\/24 is not on "eth0", only (none|fe80:.*)$/,
    },
    { spoil: "ip route del default", where: "container", msg: "route 0.0.0.0/0 via 10.22.0.1 is missing" },
    { spoil: "ip link set eth0 address 02:00:00:00:00:01", where: "container", msg: /has MAC 02:00:00:00:00:01, not / },
    { spoil: "ip link del eth0", where: "container", msg: /^interface "eth0" is missing in / },
    { spoil: "ip link del br0", where: "host", msg: 'interface "br0" is missing on the host' },
    {
      spoil: "ip link set $(ls /sys/class/net | grep ^veth) nomaster",
      where: "host",
      msg: /is not a port of bridge "br0"$/,
    },
  ];
  for (const { spoil, where, msg } of cases) {
    const node = newHost(t);
    const answer = add(node, network());
    (where === "host" ? node : node.containers[0])?.sh(spoil);
    t.match(call(node, "CHECK", network({ prevResult: answer })), {
      status: 1,
      stdout: { code: 999, msg, details: /To fix: ./ },
    });
  }
  const node = newHost(t);
  add(node, network());
  t.match(call(node, "CHECK", network()), { status: 1, stdout: { code: 7, msg: "Required prevResult missing" } });
});

t.test(
  "many containers at once on a host without the bridge, some of them killed",
  inFullRunOnly(needsRoot),
  async (t) => {
    const count = 60;
    const node = newHost(t, { containers: count });
    const conf = network({ ipMasq: true });
    const killed = (container: number) => container % 4 === 3;
    const outcomes = await Promise.all(
      node.containers.map((_, container) =>
        node.cniAtOnce("bridge", "ADD", conf, { container, ...(killed(container) && { timeoutMs: 1 + container }) }),
      ),
    );
    const survivors = outcomes.filter((_, container) => !killed(container));
    t.strictSame(
      survivors.filter(({ status }) => status !== 0),
      [],
    );
    const addresses = survivors.map(({ stdout }) => (stdout as Answer).ips[0]?.address);
    t.equal(new Set(addresses).size, survivors.length, "each has an address of its own");

    for (const container of node.containers.keys()) t.equal(call(node, "DEL", conf, { container }).status, 0);
    const { namespaces, files } = node.snapshot();
    t.strictSame(
      Object.keys(namespaces[node.name]?.links ?? {}).filter((name) => name.startsWith("veth")),
      [],
    );
    t.strictSame(
      Object.keys(files).filter((file) => /podnet\/10\./.test(file)),
      [],
    );
    t.notMatch(JSON.stringify([namespaces[node.name]?.nft, namespaces[node.name]?.iptables]), /container-\d/);
  },
);

t.test("VLANs of the port", needsKernel("vlan_filtering"), async (t) => {
  const cases: { keys: Netconf; vlans: string[] }[] = [
    { keys: { vlan: 100 }, vlans: ["100 PVID Egress Untagged"] },
    { keys: { vlan: 100, preserveDefaultVlan: true }, vlans: ["1 Egress Untagged", "100 PVID Egress Untagged"] },
    {
      keys: { vlanTrunk: [{ id: 10 }, { minID: 100, maxID: 105 }] },
      vlans: ["1 PVID Egress Untagged", "10", "100-105"],
    },
    { keys: { vlan: 7, vlanTrunk: [{ id: 10 }] }, vlans: ["7 PVID Egress Untagged", "10"] },
    { keys: { vlanTrunk: [] }, vlans: ["1 PVID Egress Untagged"] },
  ];
  for (const { keys, vlans } of cases) {
    const node = newHost(t);
    const answer = add(node, network({ isDefaultGateway: false, ipam: {}, ...keys }));
    const host = node.snapshot().namespaces[node.name];
    t.match(host?.links["br0"]?.settings.join(), "vlan_filtering 1", JSON.stringify(keys));
    t.strictSame(host?.links[outsideOf(answer)]?.vlans, vlans, JSON.stringify(keys));
  }
});

t.test("a VLAN's gateway that a killed ADD has left is completed", needsKernel("vlan_filtering"), async (t) => {
  const node = newHost(t);
  node.sh(`ip link add br0 type bridge vlan_filtering 1; ip link set br0 up
    ip link add br0.100 type veth peer name left
    ip link set left master br0 up`);
  add(node, network({ vlan: 100 }));
  const host = node.snapshot().namespaces[node.name];
  t.strictSame(host?.links["left"]?.vlans, ["100 PVID Egress Untagged"]);
  t.match(host?.links["br0.100"]?.flags, /\bUP\b/);
  t.equal(node.containers[0]?.run("ping", "-c1", "-W5", "10.22.0.1").status, 0);
});

t.test("a VLAN's gateway is an interface of its own", needsKernel("vlan_filtering"), async (t) => {
  const node = newHost(t, { containers: 2 });
  const conf = network({ vlan: 100 });
  const answer = add(node, conf);
  t.equal(answer.interfaces[3]?.name, "br0.100");
  t.match(node.sh("ip address show br0.100"), "inet 10.22.0.1/24");
  t.notMatch(node.sh("ip address show br0"), "inet 10.22");
  t.equal(node.containers[0]?.run("ping", "-c1", "-W5", "10.22.0.1").status, 0);
  t.equal(call(node, "CHECK", { ...conf, prevResult: answer }).status, 0);
  const again = add(node, conf, { container: 1 });
  t.strictSame(again.interfaces[3], answer.interfaces[3], "it is used again");
  t.equal(call(node, "DEL", { ...conf, prevResult: answer }).status, 0);
});
