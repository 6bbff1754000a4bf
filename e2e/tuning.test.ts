// The tuning plugin behind bridge, on the real kernel, as `ip` and `cat` see it.
import t from "tap";
import { type Call, type Host, newHost } from "./lab/host.ts";
import { needsRoot } from "./lab/needs.ts";

type Conf = Record<string, unknown>;

const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
const bridge = { cniVersion: "1.1.0", name: "net", type: "bridge", bridge: "br0", ipam };
const dataDir = "/var/lib/tuning";
const backup = "tuning/container-0_eth0.json";

/** A host whose container has an eth0 of the bridge plugin, and what tuning is configured with behind it. */
class Chain {
  readonly node: Host;
  readonly prevResult: Conf;

  constructor(t: Parameters<typeof newHost>[0]) {
    this.node = newHost(t);
    this.prevResult = this.node.cni("bridge", "ADD", bridge).stdout as Conf;
  }

  call(verb: "ADD" | "CHECK" | "DEL" | "GC" | "STATUS", keys: Conf, call: Call = {}) {
    const conf = { cniVersion: "1.1.0", name: "net", type: "tuning", dataDir, prevResult: this.prevResult, ...keys };
    return this.node.cni("tuning", verb, conf, call);
  }

  link(): { mac: string; mtu: number; qlen: number; flags: string[] } {
    const [link] = (this.node.containers[0]?.json("ip", "-j", "link", "show", "eth0") ?? []) as Conf[];
    const { address, mtu, txqlen, flags } = link as { address: string; mtu: number; txqlen: number; flags: string[] };
    return { mac: address, mtu, qlen: txqlen, flags: flags.filter((flag) => /PROMISC|ALLMULTI/.test(flag)) };
  }

  sysctl = (name: string) => this.node.containers[0]?.sh(`cat /proc/sys/net/${name}`).trim();
  backup = () => this.node.snapshot().files[backup];
}

const interfacesOf = (result: unknown) => (result as { interfaces: { name: string; mac: string }[] }).interfaces;

t.test("tuning: nothing to tune passes the result on and leaves no file", needsRoot, async (t) => {
  const chain = new Chain(t);
  t.strictSame(chain.call("ADD", {}), { status: 0, signal: null, stdout: chain.prevResult, stderr: "" });
  t.equal(chain.backup(), undefined);
  for (const verb of ["CHECK", "DEL", "DEL"] as const) t.match(chain.call(verb, {}), { status: 0, stdout: "" });
});

const everything = { mac: "C2:11:22:33:44:55", mtu: 1400, promisc: true, allmulti: true, txQLen: 77 };
const tuned = { mac: "c2:11:22:33:44:55", mtu: 1400, qlen: 77, flags: ["ALLMULTI", "PROMISC"] };

for (const [where, keys] of Object.entries<Conf>({
  "the configuration": everything,
  "args.cni": { mac: "c2:00:00:00:00:01", mtu: 1300, args: { cni: everything } },
})) {
  t.test(`tuning: attributes from ${where} are set, checked and restored`, needsRoot, async (t) => {
    const chain = new Chain(t);
    const before = chain.link();
    const added = chain.call("ADD", keys);
    t.match(added, { status: 0, stderr: "" });
    t.strictSame({ ...chain.link(), flags: chain.link().flags.sort() }, tuned);
    t.equal(
      interfacesOf(added.stdout).find(({ name }) => name === "eth0")?.mac,
      tuned.mac,
      "the result has the new MAC",
    );
    t.match(chain.backup(), `"mac": "${before.mac}"`, "what it was is kept");
    t.match(chain.backup(), /^0600 .*"promisc": false.*"mtu": 1500.*"allmulti": false.*"txQLen": 1000/s);

    t.match(chain.call("CHECK", keys), { status: 0, stdout: "" });
    chain.node.containers[0]?.sh("ip link set eth0 mtu 1200");
    t.match(chain.call("CHECK", keys), { status: 1, stdout: { msg: `mtu of "eth0" is 1200, must be 1400` } });

    t.match(chain.call("DEL", keys), { status: 0, stdout: "", stderr: "" });
    t.strictSame(chain.link(), before);
    t.equal(chain.backup(), undefined);
  });
}

t.test(
  "tuning: the MAC of args.cni goes before runtimeConfig's, CNI_ARGS' and the configuration's",
  needsRoot,
  async (t) => {
    const [first, second, third, last] = [1, 2, 3, 4].map((n) => `c2:00:00:00:00:0${n}`);
    const chain = new Chain(t);
    const all: Conf = { args: { cni: { mac: first } }, runtimeConfig: { mac: second }, mac: last };
    for (const [mac, left] of [
      [first, ["args", "runtimeConfig", "mac"]],
      [second, ["runtimeConfig", "mac"]],
      [third, ["mac"]],
    ] as const) {
      const keys = Object.fromEntries(left.map((key) => [key, all[key]]));
      t.match(chain.call("ADD", keys, { args: `IgnoreUnknown=1;MAC=${third}` }), { status: 0 });
      t.equal(chain.link().mac, mac);
    }
    chain.call("ADD", { mac: last });
    t.equal(chain.link().mac, last);
  },
);

t.test("tuning: a second ADD does not take tuned values for the old ones", needsRoot, async (t) => {
  const chain = new Chain(t);
  const before = chain.link();
  for (const mtu of [1400, 1300]) t.match(chain.call("ADD", { mtu }), { status: 0 });
  t.equal(chain.link().mtu, 1300);
  t.match(chain.call("DEL", {}), { status: 0 });
  t.strictSame(chain.link(), before);
});

t.test("tuning: sysctls are set and checked, by words", needsRoot, async (t) => {
  const chain = new Chain(t);
  const keys = {
    sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1", "net.ipv4.ip_local_port_range": "20000 30000" },
    args: { cni: { sysctl: { "net.ipv4.ip_default_ttl": "55", "net/ipv4/tcp_rmem": "4096 8192 16384" } } },
  };
  t.match(chain.call("ADD", keys), { status: 0, stderr: "" });
  t.equal(chain.sysctl("ipv4/conf/eth0/arp_filter"), "1");
  t.equal(chain.sysctl("ipv4/ip_local_port_range"), "20000\t30000");
  t.equal(chain.sysctl("ipv4/ip_default_ttl"), "55");
  t.equal(chain.sysctl("ipv4/tcp_rmem"), "4096\t8192\t16384");
  t.match(chain.call("CHECK", keys), { status: 0 });
  chain.node.containers[0]?.sh("echo 64 > /proc/sys/net/ipv4/ip_default_ttl");
  t.match(chain.call("CHECK", keys), {
    status: 1,
    stdout: { msg: `sysctl "net.ipv4.ip_default_ttl" is "64", must be "55"` },
  });
});

t.test("tuning: what cannot be done is refused with its reason, and nothing is changed", needsRoot, async (t) => {
  const chain = new Chain(t);
  const ttl = { "net.ipv4.ip_default_ttl": "55" };
  for (const verb of ["ADD", "DEL"] as const) chain.call(verb, { mtu: 1400 }); // makes the directory, which stays
  const before = chain.node.snapshot();
  const refusals: [keys: Conf, code: number, msg: string | RegExp][] = [
    [{ sysctl: { "kernel.panic": "1" } }, 7, `invalid net sysctl key: "kernel.panic"`],
    [{ sysctl: { "../kernel/panic": "1" } }, 7, /^invalid net sysctl key: /],
    [{ sysctl: { "net.ipv4/../../kernel/panic": "1" } }, 7, /there is no \/proc\/sys\/net\/ipv4\/kernel\/panic$/],
    [
      { sysctl: { ...ttl, "net.ipv4.no_such_thing": "1" } },
      7,
      /^sysctl "net.ipv4.no_such_thing" does not exist in the container/,
    ],
    [
      { sysctl: { ...ttl, "net.ipv4.conf.all.arp_filter": "many" } },
      7,
      `the kernel refuses "many" for sysctl "net.ipv4.conf.all.arp_filter"`,
    ],
    [
      { sysctl: ttl, mtu: 50, mac: "02:00:00:00:00:01" },
      7,
      /^the kernel refuses mac 02:00:00:00:00:01, mtu 50 for "eth0"$/,
    ],
    [{ sysctl: ttl, mac: "no" }, 7, /"mac" is "no"/],
    [{ sysctl: ttl, prevResult: undefined }, 7, "Required prevResult missing"],
    [{ mtu: "1400" }, 7, /"mtu" is "1400"/],
  ];
  for (const [keys, code, msg] of refusals) {
    const refused = { status: 1, stdout: { code, msg, details: /To fix: / }, stderr: "" };
    t.match(chain.call("ADD", keys), refused, String(msg));
    t.strictSame(chain.node.snapshot(), before, String(msg));
  }
  const conf = { cniVersion: "1.1.0", name: "net", type: "tuning", prevResult: chain.prevResult };
  const twice = JSON.stringify(conf).replace(
    /^\{/,
    '{"sysctl": {"net.ipv4.ip_default_ttl": "1", "net.ipv4.ip_default_ttl": "2"},',
  );
  t.match(chain.node.cni("tuning", "ADD", twice), {
    status: 1,
    stdout: { code: 7, msg: /^duplicated sysctl keys are not allowed/ },
  });
  t.match(chain.call("ADD", { mtu: 1400 }, { ifName: "eth9" }), {
    status: 1,
    stdout: { msg: /^interface "eth9" does not exist in / },
  });
  t.strictSame(chain.node.snapshot(), before);
});

const withAllowList = (lines: string): Pick<Call, "under"> => ({
  under: [
    "sh",
    "-c",
    `mount -t tmpfs none /etc && mkdir -p /etc/cni/tuning && printf '${lines}' > /etc/cni/tuning/allowlist.conf && exec "$@"`,
    "sh",
  ],
});

t.test("tuning: an MTU below 1280 is refused where the interface has IPv6 addresses", needsRoot, async (t) => {
  const chain = new Chain(t);
  chain.node.containers[0]?.sh("ip address add fd00:9::2/64 dev eth0 nodad");
  const before = chain.node.snapshot().namespaces;
  t.match(chain.call("ADD", { mtu: 1200 }), {
    status: 1,
    stdout: { code: 7, msg: 'an MTU of 1200 ("eth0") is too small for fd00:9::2/64: IPv6 needs 1280' },
  });
  t.strictSame(chain.node.snapshot().namespaces, before);
  t.match(chain.call("ADD", { mtu: 1280 }), { status: 0 }, "as the error says");
});

t.test("tuning: a sysctl that removes IPv6 addresses of the result is told", needsRoot, async (t) => {
  const chain = new Chain(t);
  chain.node.containers[0]?.sh("ip address add fd00:9::2/64 dev eth0 nodad");
  const { prevResult } = chain;
  const dual = { ...prevResult, ips: [...(prevResult["ips"] as Conf[]), { address: "fd00:9::2/64", interface: 2 }] };
  const sysctl = { "net.ipv6.conf.IFNAME.disable_ipv6": "1" };
  t.match(chain.call("ADD", { sysctl }), { status: 0, stderr: "" }, "a network of IPv4");
  const { status, stderr } = chain.call("ADD", { sysctl, prevResult: dual });
  t.equal(status, 0);
  t.equal(
    stderr,
    'tuning: network "net": sysctl "net.ipv6.conf.IFNAME.disable_ipv6" disables IPv6 on "eth0", which loses fd00:9::2/64; ' +
      'To fix: remove the sysctl, or the ranges of IPv6 in "ipam"\n',
  );
  t.match(chain.call("ADD", { sysctl: { "net.ipv6.conf.IFNAME.disable_ipv6": "0" }, prevResult: dual }), {
    stderr: "",
  });
});

t.test("tuning: the allow list's lines are expressions that a key has to contain", needsRoot, async (t) => {
  const chain = new Chain(t);
  const keys = { sysctl: { "net.ipv4.ip_default_ttl": "55" } };
  const forbidden = {
    status: 1,
    stdout: {
      code: 7,
      msg: /^Sysctl net.ipv4.ip_default_ttl is not allowed. Only the following sysctls are allowed: /,
    },
  };
  t.match(chain.call("ADD", keys, withAllowList("^net\\\\.ipv4\\\\.ip_default\\n\\n")), { status: 0 });
  t.match(chain.call("ADD", keys, withAllowList("^net.ipv6.\\n")), forbidden);
  t.match(chain.call("ADD", keys, withAllowList("")), forbidden);
  t.match(chain.call("STATUS", keys, withAllowList("")), forbidden);
  t.match(chain.call("ADD", keys, withAllowList("(")), {
    status: 1,
    stdout: { msg: /"\(" is not a regular expression/ },
  });
  t.match(chain.call("ADD", { mtu: 1400 }, withAllowList("")), { status: 0 }, "attributes need no permission");
});

t.test("tuning: DEL with the namespace gone removes the file", needsRoot, async (t) => {
  const chain = new Chain(t);
  for (const netns of ["", "/run/netns/gone-long-ago"]) {
    t.match(chain.call("ADD", { mtu: 1400 }), { status: 0 });
    t.ok(chain.backup());
    t.match(chain.call("DEL", {}, { environment: { CNI_NETNS: netns } }), { status: 0, stdout: "", stderr: "" });
    t.equal(chain.backup(), undefined);
  }
});

t.test(
  "tuning: GC removes files of its own network's attachments that are gone, and no other",
  needsRoot,
  async (t) => {
    const chain = new Chain(t);
    chain.call("ADD", { mtu: 1400 });
    chain.call("ADD", { mtu: 1300, name: "other" }, { containerId: "other" });
    chain.node.write("/var/lib/tuning/theirs_eth0.json", `{"mtu": 1500}`);
    const valid = (...ids: string[]) => ({
      "cni.dev/valid-attachments": ids.map((containerID) => ({ containerID, ifname: "eth0" })),
    });
    t.match(chain.call("GC", valid("container-0")), { status: 0 });
    t.ok(chain.backup(), "it is alive");
    t.match(chain.call("GC", valid()), { status: 0 });
    const left = Object.keys(chain.node.snapshot().files).filter((path) => path.endsWith(".json"));
    t.strictSame(left.filter((path) => path.startsWith("tuning/")).sort(), [
      "tuning/other_eth0.json",
      "tuning/theirs_eth0.json",
    ]);
  },
);

t.test("tuning: a MAC that the interface cannot have is refused before anything is changed", needsRoot, async (t) => {
  const chain = new Chain(t);
  const before = chain.link();
  const present = before.mac;
  for (const [mac, msg] of [
    ["01:00:5e:00:00:01", /^"mac" is "01:00:5e:00:00:01", must be the MAC of an interface, neither zero nor multicast/],
    ["00:00:00:00:00:00", /^"mac" is "00:00:00:00:00:00", must be the MAC/],
    ["ff:ff:ff:ff:ff:ff", /^"mac" is "ff:ff:ff:ff:ff:ff", must be the MAC/],
    ["02:00:5e:10:00:00:00:01", `"mac" is 02:00:5e:10:00:00:00:01, which has 8 bytes; the address of "eth0" has 6`],
    [Array(20).fill("02").join(":"), /which has 20 bytes; the address of "eth0" has 6$/],
  ] as const) {
    const says = { status: 1, stdout: { code: 7, msg, details: /To fix: ./ } };
    t.match(chain.call("ADD", { mac, mtu: 1400 }), says, mac);
    t.strictSame(chain.link(), before);
    t.equal(chain.backup(), undefined);
  }
  t.match(chain.call("ADD", {}, { args: "MAC=01:00:5e:00:00:01" }), { status: 1, stdout: { code: 7 } });
  t.equal(chain.link().mac, present);
});
