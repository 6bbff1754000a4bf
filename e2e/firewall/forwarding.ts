// The firewall plugin behind bridge, with each backend: what passes through the host and what does not, as ping, iptables and nft see it.
import type { Test } from "tap";
import { startFirewalld } from "../lab/firewalld.ts";
import { type Call, type Host, newHost } from "../lab/host.ts";
import { inFullRunOnly, type Need, needsRoot } from "../lab/needs.ts";

type Conf = Record<string, unknown>;
type Result = { interfaces: { name: string }[]; ips: { address: string }[] };

export type Backend = "iptables" | "nftables" | "firewalld";

/** What an administrator does to let through only what is allowed. */
const forwardsNothing = {
  iptables: "iptables -w -P FORWARD DROP; ip6tables -w -P FORWARD DROP",
  nftables: "nft 'add chain inet twill_firewall forward { policy drop; }'",
  firewalld: "true", // it does so by itself
};

const damages = {
  iptables: ["nft flush ruleset", "iptables -w -F; ip6tables -w -F", "nft delete table ip filter"],
  nftables: [
    "nft flush ruleset",
    "nft flush chain inet twill_firewall forward",
    "nft flush set inet twill_firewall containers4; nft flush set inet twill_firewall bridges",
  ],
  firewalld: ["iptables -w -F; ip6tables -w -F", "nft delete table ip filter"],
};

/** Where the runtime tells plugins of a system bus. */
const environments = new Map<Host, Record<string, string>>();

async function newNode(t: Test, backend: Backend, containers: number): Promise<Host> {
  const node = newHost(t, { containers });
  node.sh(filterBridges);
  if (backend === "firewalld") environments.set(node, (await startFirewalld(node)).environment);
  return node;
}

const callOf = (node: Host, container: number): Call => ({ container, environment: environments.get(node) ?? {} });

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

export const firewallConf = (bridge: number, keys: Conf, prevResult?: unknown): Conf => ({
  cniVersion: "1.1.0",
  name: `net${bridge}`,
  type: "firewall",
  ...keys,
  ...(prevResult !== undefined && { prevResult }),
});

function succeed(node: Host, plugin: string, verb: "ADD" | "CHECK" | "DEL", conf: Conf, container: number): unknown {
  const { status, stdout, stderr } = node.cni(plugin, verb, conf, callOf(node, container));
  if (status !== 0) throw new Error(`${plugin} ${verb}: ${JSON.stringify(stdout)} ${stderr}`);
  return stdout;
}

/** What follows an attachment made by bridge and firewall. */
export function attach(node: Host, container: number, bridge: number, keys: Conf) {
  const result = succeed(node, "bridge", "ADD", bridgeConf(bridge), container) as Result;
  succeed(node, "firewall", "ADD", firewallConf(bridge, keys, result), container);
  const call = (verb: "ADD" | "CHECK" | "DEL", more: Conf = {}) =>
    node.cni("firewall", verb, firewallConf(bridge, { ...keys, ...more }, result), callOf(node, container));
  const detach = () => {
    succeed(node, "firewall", "DEL", firewallConf(bridge, keys, result), container);
    succeed(node, "bridge", "DEL", bridgeConf(bridge), container);
  };
  return { result, addresses: result.ips.map(({ address }) => address.split("/")[0] ?? ""), call, detach };
}
type Attached = ReturnType<typeof attach>;

/** Much longer than an answer takes, also where ten programs want each processor. */
const PATIENCE_S = 10;
/** For what is not to answer: that it can is seen in another test, with patience. */
const SHORTLY_S = 1;

/** Both families, side by side. */
function pings(node: Host, from: number, { addresses }: Attached, waitS: number): boolean[] {
  const script = 'wait=$1; shift; for a; do { ping -c1 -W"$wait" "$a" > /dev/null && echo "$a"; } & done; wait';
  const answered = node.containers[from]?.run("sh", "-c", script, "sh", String(waitS), ...addresses).stdout.split("\n");
  return addresses.map((address) => answered?.includes(address) ?? false);
}
const both = [true, true];
const none = [false, false];

/** So that what stays within a bridge is filtered as well: the usual setting of hosts with containers. */
const filterBridges = "for f in iptables ip6tables; do echo 1 > /proc/sys/net/bridge/bridge-nf-call-$f; done";
export const saved = (node: Host) =>
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

type MakeTest = (name: string, needs: Need, work: (t: Test) => Promise<void>) => void;

/** All that is the same for every backend. */
export function testBackend(backend: Backend, test: MakeTest): void {
  /** firewalld's rules are iptables' or nftables', beside the sources of a zone. */
  const needed = backend === "firewalld" ? inFullRunOnly(needsRoot) : needsRoot;
  test(`${backend}: open lets everything through, on a host that forwards nothing`, needsRoot, async (t) => {
    const node = await newNode(t, backend, 3);
    const one = attach(node, 0, 1, { backend });
    node.sh(forwardsNothing[backend]);
    const [other, across] = [attach(node, 1, 1, { backend }), attach(node, 2, 2, { backend })];
    t.strictSame(pings(node, 0, other, PATIENCE_S), both, "within the bridge");
    t.strictSame(pings(node, 0, across, PATIENCE_S), both, "to another bridge");
    for (const attached of [one, other, across]) attached.detach();
  });

  test(`${backend}: same-bridge lets through what stays within the bridge`, needsRoot, async (t) => {
    const node = await newNode(t, backend, 3);
    const keys = { backend, ingressPolicy: "same-bridge" };
    attach(node, 0, 1, keys);
    const [other, across] = [attach(node, 1, 1, keys), attach(node, 2, 2, keys)];
    t.strictSame(pings(node, 0, other, PATIENCE_S), both, "within the bridge");
    t.strictSame(pings(node, 0, across, SHORTLY_S), none, "not to another bridge");
  });

  test(`${backend}: isolated lets through nothing from any bridge`, needsRoot, async (t) => {
    const node = await newNode(t, backend, 3);
    const keys = { backend, ingressPolicy: "isolated" };
    attach(node, 0, 1, keys);
    const [other, across] = [attach(node, 1, 1, keys), attach(node, 2, 2, keys)];
    t.strictSame(pings(node, 0, other, SHORTLY_S), none, "not within the bridge");
    t.strictSame(pings(node, 0, across, SHORTLY_S), none, "not to another bridge");
    t.equal(node.run("ping", "-c1", `-W${PATIENCE_S}`, other.addresses[0] ?? "").status, 0, "the host reaches it");
  });

  test(`${backend}: a bridge without a policy is out of reach of none`, needsRoot, async (t) => {
    const node = await newNode(t, backend, 2);
    attach(node, 0, 1, { backend, ingressPolicy: "isolated" });
    const open = attach(node, 1, 2, { backend });
    t.strictSame(pings(node, 0, open, PATIENCE_S), both);
  });

  for (const ingressPolicy of ["open", "same-bridge", "isolated"]) {
    test(`${backend}: ${ingressPolicy} goes with the last container, one by one`, needed, async (t) => {
      const node = await newNode(t, backend, 3);
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

  test(`${backend}: ADD twice is once, CHECK is content, and not when a rule is missing`, needsRoot, async (t) => {
    const node = await newNode(t, backend, 1);
    const attached = attach(node, 0, 1, { backend, ingressPolicy: "isolated" });
    const once = ruleset(node);
    t.match(attached.call("ADD"), { status: 0 });
    t.equal(ruleset(node), once);
    t.match(attached.call("CHECK"), { status: 0, stdout: "" });
    t.equal(ruleset(node), once, "CHECK changes nothing");
  });

  test(
    `${backend}: a network that is no longer isolated lets its containers talk, also the old ones`,
    needed,
    async (t) => {
      const node = await newNode(t, backend, 3);
      const old = attach(node, 0, 1, { backend, ingressPolicy: "isolated" });
      const young = attach(node, 1, 1, { backend, ingressPolicy: "same-bridge" });
      t.strictSame(pings(node, 0, young, PATIENCE_S), both);
      t.match(old.call("CHECK"), { status: 0 }, "the old one's CHECK goes by what is in force");
      t.strictSame(pings(node, 1, old, PATIENCE_S), both);
      young.detach();
      const again = attach(node, 1, 1, { backend, ingressPolicy: "isolated" });
      t.strictSame(pings(node, 0, again, SHORTLY_S), none, "and back");
    },
  );

  test(
    `${backend}: of two networks on a bridge the stricter one's policy counts, as long as it is there`,
    needed,
    async (t) => {
      const node = await newNode(t, backend, 3);
      const strict = attach(node, 0, 1, { backend, name: "strict", ingressPolicy: "isolated" });
      const one = attach(node, 1, 1, { backend, ingressPolicy: "same-bridge" });
      const other = attach(node, 2, 1, { backend, ingressPolicy: "same-bridge" });
      t.strictSame(pings(node, 1, other, SHORTLY_S), none);
      t.match(one.call("CHECK"), { status: 0 });
      strict.detach();
      t.strictSame(pings(node, 1, other, PATIENCE_S), both);
      t.match(one.call("CHECK"), { status: 0 });
    },
  );

  test(`${backend}: a late DEL leaves the next container of the address alone`, needed, async (t) => {
    const node = await newNode(t, backend, 2);
    const keys = { backend, ingressPolicy: "isolated" };
    const { result } = attach(node, 0, 1, keys);
    const next = { ...firewallConf(1, keys, result) };
    t.match(node.cni("firewall", "ADD", next, callOf(node, 1)), { status: 0 });
    const taken = ruleset(node);
    for (let i = 0; i < 2; i++) {
      t.match(node.cni("firewall", "DEL", next, callOf(node, 0)), { status: 0, stdout: "" });
      t.equal(ruleset(node), taken);
    }
    t.match(node.cni("firewall", "CHECK", next, callOf(node, 1)), { status: 0 });
  });

  test(`${backend}: DEL is content when rules, chains or tables are gone`, needed, async (t) => {
    const node = await newNode(t, backend, 1);
    const keys = { backend, ingressPolicy: "isolated" };
    for (const damage of damages[backend]) {
      const attached = attach(node, 0, 1, keys);
      node.sh(damage);
      t.match(attached.call("DEL"), { status: 0, stdout: "" }, damage);
      t.match(attached.call("ADD"), { status: 0 }, "ADD mends it");
      t.match(attached.call("CHECK"), { status: 0 });
      attached.detach();
    }
  });

  test(`${backend}: GC removes what is not valid any more, of its own network`, needsRoot, async (t) => {
    const node = await newNode(t, backend, 3);
    const keys = { backend, ingressPolicy: "isolated" };
    const resting = restingState(node, keys);
    const alive = attach(node, 0, 1, keys);
    const elsewhere = attach(node, 1, 2, keys);
    const wanted = ruleset(node);
    attach(node, 2, 1, keys);
    const gc = (attachments: { containerID: string | undefined; ifname: string }[]) =>
      node.cni(
        "firewall",
        "GC",
        { ...firewallConf(1, keys), "cni.dev/valid-attachments": attachments },
        callOf(node, 0),
      );
    t.match(gc([{ containerID: node.containers[0]?.id, ifname: "eth0" }]), { status: 0, stdout: "" });
    t.equal(ruleset(node), wanted);
    t.match(gc([]), { status: 0, stdout: "" });
    elsewhere.detach();
    t.equal(ruleset(node), resting);
    alive.detach();
  });
}
