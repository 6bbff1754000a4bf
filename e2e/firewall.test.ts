// The firewall plugin behind bridge: what passes through the host and what does not, as ping, iptables and nft see it.
import t, { type Test } from "tap";
import { type Host, newHost } from "./host.ts";
import { needsRoot } from "./needs.ts";

type Conf = Record<string, unknown>;
type Result = { interfaces: { name: string }[]; ips: { address: string }[] };

const backends = ["iptables"] as const;

/** Bridge br1 has 10.1.0.0/24 and fd00:1::/64, br2 10.2.0.0/24 and fd00:2::/64, …; each is a network of its own. */
const bridgeConf = (bridge: number, keys: Conf = {}): Conf => ({
  cniVersion: "1.1.0",
  name: `net${bridge}`,
  type: "bridge",
  bridge: `br${bridge}`,
  isDefaultGateway: true,
  ipam: { type: "host-local", ranges: [[{ subnet: `10.${bridge}.0.0/24` }], [{ subnet: `fd00:${bridge}::/64` }]] },
  ...keys,
});

const firewallConf = (bridge: number, keys: Conf, prevResult?: unknown): Conf => ({
  cniVersion: "1.1.0",
  name: `net${bridge}`,
  type: "firewall",
  ...keys,
  ...(prevResult !== undefined && { prevResult }),
});

function succeed(node: Host, plugin: string, verb: "ADD" | "CHECK" | "DEL", conf: Conf, container: number): unknown {
  const { status, stdout, stderr } = node.cni(plugin, verb, conf, { container });
  if (status !== 0) throw new Error(`${plugin} ${verb}: ${JSON.stringify(stdout)} ${stderr}`);
  return stdout;
}

/** What follows an attachment made by bridge and firewall. */
function attach(node: Host, container: number, bridge: number, keys: Conf) {
  const result = succeed(node, "bridge", "ADD", bridgeConf(bridge), container) as Result;
  t.strictSame(succeed(node, "firewall", "ADD", firewallConf(bridge, keys, result), container), result, "passed on");
  const call = (verb: "ADD" | "CHECK" | "DEL", more: Conf = {}) =>
    node.cni("firewall", verb, firewallConf(bridge, { ...keys, ...more }, result), { container });
  const detach = () => {
    succeed(node, "firewall", "DEL", firewallConf(bridge, keys, result), container);
    succeed(node, "bridge", "DEL", bridgeConf(bridge), container);
  };
  return { result, addresses: result.ips.map(({ address }) => address.split("/")[0] ?? ""), call, detach };
}
type Attached = ReturnType<typeof attach>;

/** Both families. */
function pings(node: Host, from: number, { addresses }: Attached): boolean[] {
  return addresses.map((address) => {
    const wait = ["-c1", "-W1"];
    return node.containers[from]?.run("ping", ...wait, address).status === 0;
  });
}
const both = [true, true];
const none = [false, false];

/** So that what stays within a bridge is filtered as well: the usual setting of hosts with containers. */
const filterBridges = "for f in iptables ip6tables; do echo 1 > /proc/sys/net/bridge/bridge-nf-call-$f; done";
const saved = (node: Host) =>
  node
    .sh("iptables-save; ip6tables-save")
    .replace(/^#.*\n/gm, "")
    .replace(/\[\d+:\d+\]/g, "");
const ruleset = (node: Host) => `${node.sh("nft -s list ruleset")}${saved(node)}`;

/** What is to be seen once the last container of a host has gone: the first ADD makes what stays. */
function restingState(node: Host, keys: Conf): string {
  attach(node, 0, 1, keys).detach();
  return ruleset(node);
}

for (const backend of backends) {
  t.test(`${backend}: open lets everything through, on a host that forwards nothing`, needsRoot, async (t) => {
    const node = newHost(t, { containers: 3 });
    node.sh(`${filterBridges}; iptables -w -P FORWARD DROP; ip6tables -w -P FORWARD DROP`);
    const [one, other, across] = [
      attach(node, 0, 1, { backend }),
      attach(node, 1, 1, { backend }),
      attach(node, 2, 2, { backend }),
    ];
    t.strictSame(pings(node, 0, other), both, "within the bridge");
    t.strictSame(pings(node, 0, across), both, "to another bridge");
    for (const attached of [one, other, across]) attached.detach();
  });

  t.test(`${backend}: same-bridge lets through what stays within the bridge`, needsRoot, async (t) => {
    const node = newHost(t, { containers: 3 });
    node.sh(filterBridges);
    const keys = { backend, ingressPolicy: "same-bridge" };
    attach(node, 0, 1, keys);
    const [other, across] = [attach(node, 1, 1, keys), attach(node, 2, 2, keys)];
    t.strictSame(pings(node, 0, other), both, "within the bridge");
    t.strictSame(pings(node, 0, across), none, "not to another bridge");
  });

  t.test(`${backend}: isolated lets through nothing from any bridge`, needsRoot, async (t) => {
    const node = newHost(t, { containers: 3 });
    node.sh(filterBridges);
    const keys = { backend, ingressPolicy: "isolated" };
    attach(node, 0, 1, keys);
    const [other, across] = [attach(node, 1, 1, keys), attach(node, 2, 2, keys)];
    t.strictSame(pings(node, 0, other), none, "not within the bridge");
    t.strictSame(pings(node, 0, across), none, "not to another bridge");
    t.equal(node.run("ping", "-c1", "-W1", other.addresses[0] ?? "").status, 0, "the host reaches it");
  });

  t.test(`${backend}: a bridge without a policy is out of reach of none`, needsRoot, async (t) => {
    const node = newHost(t, { containers: 2 });
    attach(node, 0, 1, { backend, ingressPolicy: "isolated" });
    const open = attach(node, 1, 2, { backend });
    t.strictSame(pings(node, 0, open), both);
  });

  for (const ingressPolicy of ["open", "same-bridge", "isolated"]) {
    t.test(`${backend}: ${ingressPolicy} goes with the last container, one by one`, needsRoot, async (t) => {
      const node = newHost(t, { containers: 3 });
      const keys = { backend, ingressPolicy };
      const empty = restingState(node, keys);
      const first = attach(node, 0, 1, keys);
      const withOne = ruleset(node);
      const second = attach(node, 1, 1, keys);
      const withTwo = ruleset(node);
      const elsewhere = attach(node, 2, 2, keys);
      elsewhere.detach();
      t.equal(ruleset(node), withTwo, "another network leaves nothing behind");
      second.detach();
      t.equal(ruleset(node), withOne);
      first.detach();
      t.equal(ruleset(node), empty);
    });
  }

  t.test(`${backend}: ADD twice is once, CHECK is content, and not when a rule is missing`, needsRoot, async (t) => {
    const node = newHost(t);
    const attached = attach(node, 0, 1, { backend, ingressPolicy: "isolated" });
    const once = ruleset(node);
    t.match(attached.call("ADD"), { status: 0 });
    t.equal(ruleset(node), once);
    t.match(attached.call("CHECK"), { status: 0, stdout: "" });
    t.equal(ruleset(node), once, "CHECK changes nothing");
  });

  t.test(
    `${backend}: a network that is no longer isolated lets its containers talk, also the old ones`,
    needsRoot,
    async (t) => {
      const node = newHost(t, { containers: 3 });
      node.sh(filterBridges);
      const old = attach(node, 0, 1, { backend, ingressPolicy: "isolated" });
      const young = attach(node, 1, 1, { backend, ingressPolicy: "same-bridge" });
      t.strictSame(pings(node, 0, young), both);
      t.match(old.call("CHECK"), { status: 0 }, "the old one's CHECK goes by what is in force");
      t.strictSame(pings(node, 1, old), both);
      young.detach();
      const again = attach(node, 1, 1, { backend, ingressPolicy: "isolated" });
      t.strictSame(pings(node, 0, again), none, "and back");
    },
  );

  t.test(
    `${backend}: of two networks on a bridge the stricter one's policy counts, as long as it is there`,
    needsRoot,
    async (t) => {
      const node = newHost(t, { containers: 3 });
      node.sh(filterBridges);
      const strict = attach(node, 0, 1, { backend, name: "strict", ingressPolicy: "isolated" });
      const one = attach(node, 1, 1, { backend, ingressPolicy: "same-bridge" });
      const other = attach(node, 2, 1, { backend, ingressPolicy: "same-bridge" });
      t.strictSame(pings(node, 1, other), none);
      t.match(one.call("CHECK"), { status: 0 });
      strict.detach();
      t.strictSame(pings(node, 1, other), both);
      t.match(one.call("CHECK"), { status: 0 });
    },
  );

  t.test(`${backend}: a late DEL leaves the next container of the address alone`, needsRoot, async (t) => {
    const node = newHost(t, { containers: 2 });
    const keys = { backend, ingressPolicy: "isolated" };
    const { result } = attach(node, 0, 1, keys);
    const next = { ...firewallConf(1, keys, result) };
    t.match(node.cni("firewall", "ADD", next, { container: 1 }), { status: 0 });
    const taken = ruleset(node);
    for (let i = 0; i < 2; i++) {
      t.match(node.cni("firewall", "DEL", next, { container: 0 }), { status: 0, stdout: "" });
      t.equal(ruleset(node), taken);
    }
    t.match(node.cni("firewall", "CHECK", next, { container: 1 }), { status: 0 });
  });

  t.test(`${backend}: DEL is content when rules, chains or tables are gone`, needsRoot, async (t) => {
    const node = newHost(t);
    const keys = { backend, ingressPolicy: "isolated" };
    for (const damage of [
      "nft flush ruleset",
      "iptables -w -F; ip6tables -w -F",
      "nft delete table ip filter 2>/dev/null || true",
    ]) {
      const attached = attach(node, 0, 1, keys);
      node.sh(damage);
      t.match(attached.call("DEL"), { status: 0, stdout: "" }, damage);
      t.match(attached.call("ADD"), { status: 0 }, "ADD mends it");
      t.match(attached.call("CHECK"), { status: 0 });
      attached.detach();
    }
  });

  t.test(`${backend}: GC removes what is not valid any more, of its own network`, needsRoot, async (t) => {
    const node = newHost(t, { containers: 3 });
    const keys = { backend, ingressPolicy: "isolated" };
    const resting = restingState(node, keys);
    const alive = attach(node, 0, 1, keys);
    const elsewhere = attach(node, 1, 2, keys);
    const wanted = ruleset(node);
    attach(node, 2, 1, keys);
    const gc = (attachments: { containerID: string | undefined; ifname: string }[]) =>
      node.cni("firewall", "GC", { ...firewallConf(1, keys), "cni.dev/valid-attachments": attachments });
    t.match(gc([{ containerID: node.containers[0]?.id, ifname: "eth0" }]), { status: 0, stdout: "" });
    t.equal(ruleset(node), wanted);
    t.match(gc([]), { status: 0, stdout: "" });
    elsewhere.detach();
    t.equal(ruleset(node), resting);
    alive.detach();
  });
}

t.test("firewall: a policy stays for the living while many come and go", needsRoot, async (t) => {
  const count = 30;
  const node = newHost(t, { containers: 1 });
  const keys = { ingressPolicy: "isolated" };
  const confOf = (i: number) =>
    firewallConf(1, keys, {
      cniVersion: "1.1.0",
      interfaces: [{ name: "br1" }],
      ips: [{ address: `10.1.1.${i}/16` }, { address: `fd00:1::${i}/64` }],
    });
  const call = (verb: "ADD" | "DEL", i: number) =>
    node.cniAtOnce("firewall", verb, confOf(i), { containerId: `many-${i}` });
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  t.match(await call("ADD", 1), { status: 0 });
  t.match(await call("DEL", 1), { status: 0 });
  const resting = saved(node);
  const statuses = async (calls: Promise<{ status: number | null }>[]) =>
    (await Promise.all(calls)).filter(({ status }) => status !== 0);
  t.strictSame(await statuses(numbers.map((i) => call("ADD", i))), []);
  const odd = numbers.filter((i) => i % 2 === 1);
  const even = numbers.filter((i) => i % 2 === 0);
  t.strictSame(await statuses(odd.map((i) => call("DEL", i))), []);
  t.strictSame(await statuses([...odd.map((i) => call("ADD", i)), ...even.map((i) => call("DEL", i))]), []);
  for (const i of odd) {
    t.match(node.cni("firewall", "CHECK", confOf(i), { containerId: `many-${i}` }), { status: 0 }, `CHECK ${i}`);
  }
  t.strictSame(await statuses(odd.map((i) => call("DEL", i))), []);
  t.equal(saved(node), resting);
});

t.test("firewall: no program is started where iptables is the nf_tables variant", needsRoot, async (t) => {
  const node = newHost(t);
  const attached = attach(node, 0, 1, { ingressPolicy: "isolated" });
  for (const verb of ["ADD", "CHECK", "DEL", "GC", "STATUS"] as const) {
    const conf = {
      ...firewallConf(1, { ingressPolicy: "isolated" }, attached.result),
      "cni.dev/valid-attachments": [],
    };
    const { status, stderr } = node.cni("firewall", verb, conf, {
      under: ["strace", "-f", "-qq", "-e", "trace=execve,fork,clone,clone3,vfork"],
    });
    t.equal(status, 0, verb);
    t.strictSame(
      stderr.match(/^.*(execve|fork|clone)\(.*$/gm)?.length,
      1,
      `${verb}: only the plugin itself: ${stderr}`,
    );
  }
});

/** Which keys are refused, with the whole text. */
function refused(t: Test, keys: Conf, prevResult: unknown, expected: { msg: string; details: string | RegExp }): void {
  const node = newHost(t);
  const before = node.snapshot();
  t.match(node.cni("firewall", "ADD", firewallConf(1, keys, prevResult)), {
    status: 1,
    stdout: { code: 7, ...expected },
  });
  t.strictSame(node.snapshot(), before);
  t.match(node.cni("firewall", "DEL", firewallConf(1, keys, prevResult)), { status: 0 }, "DEL goes on");
}

const someResult = { cniVersion: "1.1.0", interfaces: [{ name: "br1" }], ips: [{ address: "10.1.0.2/24" }] };

t.test("firewall: what is refused leaves nothing", needsRoot, async (t) => {
  refused(t, {}, undefined, {
    msg: "missing prevResult from earlier plugin",
    details: /^it works on what another plugin has made/,
  });
  refused(t, { ingressPolicy: "closed" }, someResult, {
    msg: `unknown ingress policy: "closed"`,
    details: `To fix: set "ingressPolicy" to one of "open", "same-bridge", "isolated"`,
  });
  refused(
    t,
    { ingressPolicy: "isolated" },
    { ...someResult, interfaces: [] },
    {
      msg: `interface needs to be set for ingress policy "isolated", make sure to chain "firewall" plugin with "bridge"`,
      details: `To fix: write firewall behind a bridge plugin, or leave out "ingressPolicy"`,
    },
  );
  refused(t, { iptablesAdminChainName: "a chain" }, someResult, {
    msg: `"iptablesAdminChainName" is "a chain", must be a name of at most 28 characters without blanks`,
    details: "To fix: iptables takes no other names for chains: choose another one",
  });
});
