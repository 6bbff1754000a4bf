// One container attached twice to one network, as Multus does it: what belongs to one attachment is left alone by the other's DEL and by GC. And
// networks and containers whose names say the same when they are joined.
import t from "tap";
import { commands, legacyIptables } from "./lab/commands.ts";
import { type Host, newHost } from "./lab/host.ts";
import { inFullRunOnly, needsKernel } from "./lab/needs.ts";

const needs = needsKernel("iptables_nat", "nft_inet_nat");
/** Rules of the old tables are written by their own programs, which firewall/masquerade.test.ts has in each run. */
const needsOf = (world: World) => (world === "legacy iptables" ? inFullRunOnly(needs) : needs);

type Test = Parameters<typeof newHost>[0];
type Json = Record<string, unknown>;
type World = "nftables" | "iptables" | "legacy iptables";
const worlds: readonly World[] = ["nftables", "iptables", "legacy iptables"];

/** An attachment's key. */
interface Key {
  name: string;
  containerId: string;
  ifName: string;
}

const key = (ifName: string, containerId = "3f2a", name = "net"): Key => ({ name, containerId, ifName });

/** Host, bridge and host ports in one of the worlds of the firewall. */
class Node {
  readonly host: Host;
  readonly world: World;
  readonly #environment: Record<string, string>;

  constructor(t: Test, world: World) {
    this.host = newHost(t);
    this.world = world;
    const path = `${process.env["PATH"]}`;
    this.#environment = { PATH: world === "legacy iptables" ? `${commands(t, legacyIptables)}:${path}` : path };
  }

  call(plugin: string, verb: "ADD" | "CHECK" | "DEL" | "GC", of: Key, conf: Json, environment = {}): Json {
    const { ifName, containerId, name } = of;
    const backend = this.world === "nftables" ? "nftables" : "iptables";
    const own = plugin === "portmap" ? { backend } : { ipMasqBackend: backend };
    const { status, stdout, stderr } = this.host.cni(
      plugin,
      verb,
      { cniVersion: "1.1.0", name, type: plugin, ...own, ...conf },
      { ifName, containerId, environment: { ...this.#environment, ...environment } },
    );
    if (status !== 0) throw new Error(`${plugin} ${verb} ${ifName}: ${JSON.stringify(stdout)} ${stderr}`);
    return stdout as Json;
  }

  /** Rules about containers, as the standard tools print them. */
  rules(): string[] {
    const print = {
      nftables: "nft -s list ruleset",
      iptables: "iptables-nft -w -t nat -S; ip6tables-nft -w -t nat -S",
      "legacy iptables": "iptables-legacy -w -t nat -S; ip6tables-legacy -w -t nat -S",
    }[this.world];
    const isAbout =
      /CNI-[0-9a-f]{24}|CNI-DN-|masquerade comment "[0-9a-f]{16}-|dnat (ip6? )?to (?!.*@)|comment "id:|hostports-[0-9a-f]/;
    return this.host
      .sh(print)
      .split("\n")
      .filter((line) => isAbout.test(line))
      .map((line) => line.trim());
  }

  /** Those that name an address, or a port. */
  about = (...words: string[]): string[] => this.rules().filter((rule) => words.some((word) => rule.includes(word)));
}

const published = (prevResult: Json | undefined, ...ports: number[]): Json => ({
  ...(ports.length > 0 && {
    runtimeConfig: { portMappings: ports.map((hostPort) => ({ hostPort, containerPort: 80, protocol: "tcp" })) },
  }),
  ...(prevResult && { prevResult }),
});

const masqueraded = (subnet = "10.1.0.0/24", subnet6 = "fd00:1::/64"): Json => ({
  bridge: "br0",
  isGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", ranges: [[{ subnet }], [{ subnet: subnet6 }]] },
});

const valid = (...keys: Key[]): Json => ({
  "cni.dev/valid-attachments": keys.map(({ containerId, ifName }) => ({ containerID: containerId, ifname: ifName })),
});

const addressesOf = (result: Json): string[] =>
  (result["ips"] as { address: string }[]).map(({ address }) => address.replace(/\/.*/, ""));

/** What a runtime knows when it calls DEL. */
const ways = (result: Json): [string, Json | undefined, object][] => [
  ["with its result", result, {}],
  ["without its result", undefined, {}],
  ["without its result and namespace", undefined, { CNI_NETNS: "" }],
];

for (const world of worlds) {
  t.test(`${world}: an attachment's host ports outlive the other attachment`, needsOf(world), async (t) => {
    const node = new Node(t, world);
    const [net1, net2] = [key("net1"), key("net2")];
    const one = node.call("bridge", "ADD", net1, masqueraded());
    const two = node.call("bridge", "ADD", net2, masqueraded());
    node.call("portmap", "ADD", net1, published(one, 8080));
    const alone = node.rules();
    t.match(alone.join("\n"), /8080|1f90/);

    for (const [way, prevResult, environment] of ways(two)) {
      node.call("portmap", "ADD", net2, published(two));
      node.call("portmap", "DEL", net2, published(prevResult), environment);
      t.strictSame(node.rules(), alone, `without ports, DEL ${way}`);

      node.call("portmap", "ADD", net2, published(two, 9090));
      for (const [of, result, port] of [
        [net1, one, 8080],
        [net2, two, 9090],
      ] as const)
        node.call("portmap", "CHECK", of, published(result, port));
      node.call("portmap", "DEL", net2, published(prevResult, 9090), environment);
      t.strictSame(node.rules(), alone, `with a port, DEL ${way}`);
    }

    node.call("portmap", "ADD", net2, published(two, 9090));
    const both = node.rules();
    node.call("portmap", "ADD", net1, published(one, 8080));
    t.strictSame(node.rules().sort(), both.sort(), "an ADD that comes again leaves the other's as they are");
    node.call("portmap", "GC", net1, valid(net1));
    t.strictSame(node.rules(), alone, "GC");
    node.call("portmap", "ADD", net2, published(two, 9090));
    node.call("portmap", "DEL", net1, published(undefined, 8080));
    t.strictSame(node.about("8080"), [], "DEL of the first");
    node.call("portmap", "CHECK", net2, published(two, 9090));
    node.call("portmap", "DEL", net2, published(undefined, 9090));
    t.strictSame(node.about("9090", "CNI-DN-"), []);
  });

  t.test(
    `${world}: two attachments may publish the same port, and each takes its own back`,
    needsOf(world),
    async (t) => {
      const node = new Node(t, world);
      const [net1, net2] = [key("net1"), key("net2")];
      const one = node.call("bridge", "ADD", net1, masqueraded());
      const two = node.call("bridge", "ADD", net2, masqueraded());
      node.call("portmap", "ADD", net1, published(one, 8080));
      const alone = node.rules();
      node.call("portmap", "ADD", net2, published(two, 8080));
      node.call("portmap", "DEL", net2, published(undefined, 8080));
      t.strictSame(node.rules(), alone);
      node.call("portmap", "DEL", net1, published(undefined, 8080));
      t.strictSame(node.about("8080", "CNI-DN-"), []);
    },
  );

  for (const plugin of ["bridge", "ptp"]) {
    t.test(
      `${world}, ${plugin}: an attachment's masquerade outlives the other attachment`,
      needsOf(world),
      async (t) => {
        const node = new Node(t, world);
        const [net1, net2] = [key("net1"), key("net2")];
        const first = masqueraded();
        const second = plugin === "bridge" ? first : masqueraded("10.2.0.0/24", "fd00:2::/64"); // ptp has a route to each gateway
        const one = node.call(plugin, "ADD", net1, first);
        const alone = node.rules();
        t.equal(node.about(...addressesOf(one)).length > 1, true);
        for (const [way, , environment] of ways({})) {
          const two = node.call(plugin, "ADD", net2, second);
          const prevResult = way === "with its result" ? two : undefined;
          node.call(plugin, "DEL", net2, { ...second, ...(prevResult && { prevResult }) }, environment);
          t.strictSame(node.rules(), alone, `DEL ${way}`);
          node.call(plugin, "DEL", net2, second, environment);
          t.strictSame(node.rules(), alone, "a DEL that comes again");
        }

        const two = node.call(plugin, "ADD", net2, second);
        node.call(plugin, "GC", net1, { ...second, ...valid(net1) });
        t.strictSame(node.rules(), alone, "GC");
        t.strictSame(node.about(...addressesOf(two)), []);
        const again = node.call(plugin, "ADD", net2, second);
        node.call(plugin, "DEL", net1, first);
        t.strictSame(node.about(...addressesOf(one).map((address) => `${address}/`)), []);
        t.equal(node.about(...addressesOf(again)).length > 1, true);
        node.call(plugin, "DEL", net2, second);
        t.strictSame(node.rules(), []);
      },
    );
  }

  t.test(`${world}: names that are the same when joined are two networks`, needsOf(world), async (t) => {
    const node = new Node(t, world);
    const [a, ab] = [key("eth0", "bc", "a"), key("eth1", "c", "ab")];
    const [confA, confAb] = [masqueraded("10.1.0.0/24"), masqueraded("10.2.0.0/24", "fd00:2::/64")];
    const one = node.call("bridge", "ADD", a, { ...confA, bridge: "br1" });
    node.call("portmap", "ADD", a, published(one, 8080));
    const alone = node.rules();
    const two = node.call("bridge", "ADD", ab, confAb);
    node.call("portmap", "ADD", ab, published(two, 9090));
    node.call("portmap", "CHECK", a, published(one, 8080));
    node.call("portmap", "CHECK", ab, published(two, 9090));
    node.call("portmap", "DEL", ab, published(undefined, 9090));
    node.call("bridge", "DEL", ab, confAb);
    t.strictSame(node.rules(), alone, "DEL");

    const again = node.call("bridge", "ADD", ab, confAb);
    node.call("portmap", "ADD", ab, published(again, 9090));
    t.throws(() => node.call("portmap", "ADD", ab, published(again, 8080)), /"code":11/, "a port that is held");
    node.call("portmap", "ADD", ab, published(again, 9090));
    node.call("portmap", "GC", ab, valid());
    node.call("bridge", "GC", ab, { ...confAb, ...valid() });
    t.strictSame(node.rules(), alone, "GC");
  });
}

// --- What builds before the owner rules left on a node ------------------------------------------------------------------------------------

/**
 * Printed by `iptables-save -t nat` after 7ef44b8's bridge ADD of net1 and net2 and portmap ADD of net1 with host port 8080. The Go plugins leave the same.
 */
const ruleset = String.raw`*nat
:CNI-9f689f5973a790036abc865a - [0:0]
:CNI-DN-9f689f5973a790036abc8 - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A POSTROUTING -s 10.1.0.2/32 -m comment --comment "name: \"net\" id: \"3f2a\"" -j CNI-9f689f5973a790036abc865a
-A POSTROUTING -s 10.1.0.3/32 -m comment --comment "name: \"net\" id: \"3f2a\"" -j CNI-9f689f5973a790036abc865a
-A CNI-9f689f5973a790036abc865a -d 10.1.0.0/24 -m comment --comment "name: \"net\" id: \"3f2a\"" -j ACCEPT
-A CNI-9f689f5973a790036abc865a ! -d 224.0.0.0/4 -m comment --comment "name: \"net\" id: \"3f2a\"" -j MASQUERADE
-A CNI-DN-9f689f5973a790036abc8 -s 10.1.0.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-9f689f5973a790036abc8 -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-9f689f5973a790036abc8 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"net\" id: \"3f2a\"" -m multiport --dports 8080 -j CNI-DN-9f689f5973a790036abc8
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
COMMIT
`;

const resultOf = (ifName: string, address: string): Json => ({
  cniVersion: "1.0.0",
  interfaces: [{ name: ifName, sandbox: "/run/netns/x" }],
  ips: [{ interface: 0, address: `${address}/24` }],
});

/** As libcni 1.1 writes it. */
const cached = (ifName: string, result: Json | undefined): string =>
  JSON.stringify({
    kind: "cniCacheV1",
    containerId: "3f2a",
    config: Buffer.from(`{"cniVersion":"1.0.0","name":"net","plugins":[]}`).toString("base64"),
    ifName,
    networkName: "net",
    ...(result && { result }),
  });

for (const world of ["iptables", "legacy iptables"] as const) {
  const [net1, net2] = [key("net1"), key("net2")];
  const [one, two] = [resultOf("net1", "10.1.0.2"), resultOf("net2", "10.1.0.3")];
  const found = (t: Test): Node => {
    const node = new Node(t, world);
    const restore = world === "iptables" ? "iptables-nft-restore" : "iptables-legacy-restore";
    node.host.sh(`${restore} --noflush <<'END'\n${ruleset}END`);
    return node;
  };
  const del = (node: Node, of: Key, prevResult?: Json) => {
    node.call("portmap", "DEL", of, published(prevResult, 8080));
    node.call("bridge", "DEL", of, { ...masqueraded(), ...(prevResult && { prevResult }) });
  };
  const firsts = (node: Node) => node.rules().filter((rule) => !rule.includes("-s 10.1.0.3/32"));

  t.test(`${world}: rules that do not tell their owner go with the only attachment`, needsOf(world), async (t) => {
    const node = found(t);
    del(node, net1);
    t.strictSame(node.rules(), []);
    const collected = found(t);
    collected.call("portmap", "GC", net1, valid());
    collected.call("bridge", "GC", net1, { ...masqueraded(), ...valid() });
    t.strictSame(collected.rules(), []);
  });

  t.test(
    `${world}: rules that do not tell their owner go with their address where the result tells it`,
    needs,
    async (t) => {
      const node = found(t);
      const left = firsts(node);
      del(node, net2, two);
      t.strictSame(node.rules(), left);
      del(node, net1, one);
      t.strictSame(node.rules(), []);
    },
  );

  t.test(
    `${world}: rules that do not tell their owner stay with whom the runtime's cache gives their address`,
    needs,
    async (t) => {
      for (const result of [one, undefined]) {
        const node = found(t);
        const left = result === undefined ? node.rules() : firsts(node);
        node.host.write("/var/lib/cni/results/net-3f2a-net1", cached("net1", result));
        del(node, net2);
        t.strictSame(node.rules(), left, JSON.stringify(result));
      }
    },
  );

  t.test(
    `${world}: GC leaves rules that do not tell their owner while the container is attached`,
    needsOf(world),
    async (t) => {
      const node = found(t);
      const all = node.rules();
      node.call("portmap", "GC", net1, valid(net1));
      node.call("bridge", "GC", net1, { ...masqueraded(), ...valid(net1) });
      t.strictSame(node.rules(), all);
    },
  );

  t.test(
    `${world}: an ADD that comes again says whose the addresses are, and changes nothing else`,
    needs,
    async (t) => {
      const node = found(t);
      const before = node.rules();
      node.call("portmap", "CHECK", net1, published(one, 8080));
      node.call("portmap", "ADD", net1, published(one, 8080));
      const added = node.rules().filter((rule) => !before.includes(rule));
      t.match(added, [/^-A CNI-DN-\w+ -s 10\.1\.0\.2\/32 .*"name: ."net." id: ."3f2a." if: ."net1."" -j RETURN$/]);
      t.equal(added.length, 1);
      t.strictSame(
        node.rules().filter((rule) => !added.includes(rule)),
        before,
      );
      node.call("portmap", "DEL", net2, published(undefined));
      t.equal(node.about("8080").length, 4);
    },
  );
}
