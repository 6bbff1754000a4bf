// sbr behind bridge, and behind interfaces made by hand, as `ip` sees it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import t from "tap";
import { newHost } from "./lab/host.ts";
import { containerWith, interfaceByHand, ownRules, resultByHand, routesIn } from "./lab/interface-by-hand.ts";
import { needsRoot } from "./lab/needs.ts";

type Json = Record<string, unknown>;

const network = (keys: Json = {}) => ({ cniVersion: "1.1.0", name: "net", type: "sbr", ...keys });
const call = { ifName: "net1" };

const prevResult = (keys: Json = {}) => ({ ...resultByHand, ...keys });
const conf = (keys: Json = {}) => network({ prevResult: prevResult(), ...keys });

const ipam = (ranges: unknown) => ({ type: "host-local", ranges });

t.test(
  "sbr: what comes from the second interface's address leaves there, and the first keeps the rest",
  needsRoot,
  async (t) => {
    const node = newHost(t);
    const [container] = node.containers;
    const bridge = (name: string, subnet: string, ifName: string) => {
      const conf = {
        cniVersion: "1.1.0",
        name,
        type: "bridge",
        bridge: `br-${name}`,
        isGateway: true,
        ipam: { ...ipam([[{ subnet }]]), routes: [{ dst: "0.0.0.0/0" }, { dst: "192.0.2.0/24" }] },
      };
      return { conf, result: node.cni("bridge", "ADD", conf, { ifName }).stdout };
    };
    bridge("one", "10.1.0.0/24", "eth0");
    const before = node.snapshot().namespaces[container?.name ?? ""];
    const { conf: below, result: given } = bridge("two", "10.2.0.0/24", "net1"); // the second default route is in the way of the first
    const added = node.cni("sbr", "ADD", { ...network({ name: "two" }), prevResult: given }, call);
    t.match(added, {
      status: 0,
      stdout: {
        routes: [
          { dst: "0.0.0.0/0", table: 100 },
          { dst: "192.0.2.0/24", table: 100 },
        ],
      },
      stderr: "",
    });

    t.match(container?.sh("ip route get 198.51.100.1"), / via 10\.1\.0\.1 dev eth0 /);
    t.match(container?.sh("ip route get 198.51.100.1 from 10.2.0.2"), / via 10\.2\.0\.1 dev net1 /);
    t.equal(container?.run("ping", "-c1", "-W5", "-I", "10.2.0.2", "10.2.0.1").status, 0, "through the interface");

    const final = { prevResult: added.stdout };
    t.match(node.cni("sbr", "CHECK", { ...network({ name: "two" }), ...final }, call), { status: 0, stdout: "" });
    t.match(
      node.cni("bridge", "CHECK", { ...below, ...final }, call),
      { status: 0, stdout: "" },
      "the routes are told where they are",
    );
    t.match(
      node.cni("bridge", "CHECK", { ...below, prevResult: given }, call),
      { status: 0 },
      "or found, as behind Go's sbr",
    );

    t.match(node.cni("sbr", "DEL", { ...network({ name: "two" }), ...final }, call), { status: 0, stdout: "" });
    t.match(node.cni("bridge", "DEL", { ...below, ...final }, call), { status: 0 });
    const after = node.snapshot().namespaces[container?.name ?? ""];
    t.strictSame([after?.rules, after?.routes, after?.links], [before?.rules, before?.routes, before?.links]);
  },
);

t.test("sbr: each address has a table of its own, with the routes of its family", needsRoot, async (t) => {
  const node = newHost(t);
  const container = containerWith(node);
  const { status, stdout } = node.cni("sbr", "ADD", conf(), call);
  t.match(
    { status, stdout },
    {
      status: 0,
      stdout: {
        interfaces: [{ name: "net1" }],
        ips: resultByHand.ips,
        routes: [
          { dst: "0.0.0.0/0", table: 100 },
          { dst: "192.0.2.0/24", gw: "192.168.1.9", table: 100 },
          { dst: "::/0", table: 101 },
        ],
      },
    },
  );
  t.strictSame(ownRules(container), ["32765:\tfrom 192.168.1.209 lookup 100", "32765:\tfrom fd00:9::209 lookup 101"]);
  t.strictSame(routesIn(container, 100), [
    "default via 192.168.1.1 dev net1",
    "192.0.2.0/24 via 192.168.1.9 dev net1 metric 50",
    "192.168.1.0/24 dev net1 proto kernel scope link src 192.168.1.209",
  ]);
  t.strictSame(routesIn(container, 101), [
    "fd00:9::/64 dev net1 proto kernel metric 256 pref medium",
    "default via fd00:9::1 dev net1 metric 1024 pref medium",
  ]);
  t.strictSame(routesIn(container, "main"), ["fe80::/64 dev net1 proto kernel metric 256 pref medium"]);
});

t.test("sbr: tables that a rule leads to or that have routes are not taken", needsRoot, async (t) => {
  const node = newHost(t);
  const container = containerWith(
    node,
    `${interfaceByHand}\nip rule add from 10.9.9.9 lookup 100\nip route add 10.8.0.0/16 dev far table 101`,
  );
  t.match(node.cni("sbr", "ADD", conf(), call), { status: 0 });
  t.match(ownRules(container).sort().join(), /from 192\.168\.1\.209 lookup 102,.*from fd00:9::209 lookup 103/);
});

t.test("sbr: who comes second waits, and takes another table", needsRoot, async (t) => {
  const node = newHost(t);
  const container = containerWith(node);
  const slow = ["flock", container.path, "sh", "-c", "echo locked; sleep 0.3; ip rule add from 10.9.9.9 lookup 100"];
  const first = spawn("ip", ["netns", "exec", container.name, ...slow]);
  await once(first.stdout, "data");
  t.match(node.cni("sbr", "ADD", conf(), call), { status: 0 });
  t.match(ownRules(container).join(), /from 192\.168\.1\.209 lookup 101,.*from 10\.9\.9\.9 lookup 100/);
});

t.test("sbr: with a table, rules alone are made", needsRoot, async (t) => {
  const node = newHost(t);
  const container = containerWith(node);
  const before = routesIn(container, "main");
  const added = node.cni("sbr", "ADD", conf({ table: 5000 }), call);
  t.match(added, { status: 0, stdout: resultByHand });
  t.strictSame(ownRules(container), ["32765:\tfrom 192.168.1.209 lookup 5000", "32765:\tfrom fd00:9::209 lookup 5000"]);
  t.strictSame([routesIn(container, "main"), routesIn(container, 5000)], [before, []]);
  t.match(node.cni("sbr", "CHECK", { ...conf({ table: 5000 }), prevResult: added.stdout }, call), { status: 0 });

  t.match(node.cni("sbr", "ADD", conf({ table: 5000 }), call), {
    status: 1,
    stdout: { code: 999, msg: 'rule "from 192.168.1.209 lookup 5000" already exists in the container' },
  });
  t.equal(ownRules(container).length, 2, "whose rules the ADD that was refused leaves");
  t.match(node.cni("sbr", "DEL", conf({ table: 5000 }), call), { status: 0 });
  t.strictSame(ownRules(container), []);
});

t.test("sbr: the configuration's gateways stand instead of the default routes", needsRoot, async (t) => {
  const node = newHost(t);
  const container = containerWith(node);
  const { stdout } = node.cni("sbr", "ADD", conf({ gateways: ["192.168.1.7", "fd00:9::7"] }), call);
  t.match(stdout, {
    routes: [{ dst: "0.0.0.0/0", gw: "192.168.1.7", table: 100 }, {}, { dst: "::/0", gw: "fd00:9::7", table: 101 }],
  });
  t.match(routesIn(container, 100).join(), /default via 192\.168\.1\.7 /);
  t.match(routesIn(container, 101).join(), /default via fd00:9::7 /);
});

t.test("sbr: addSourceHints leaves the subnets' routes in the main table", needsRoot, async (t) => {
  const node = newHost(t);
  const container = containerWith(node);
  container.sh("ip route replace 192.168.1.0/24 dev net1 scope link"); // as one without a source
  const added = node.cni("sbr", "ADD", conf({ addSourceHints: true }), call);
  t.match(added, { status: 0 });
  t.match(routesIn(container, "main"), [
    "192.168.1.0/24 dev net1 scope link src 192.168.1.209",
    "fd00:9::/64 dev net1 proto kernel metric 256 pref medium",
    /^fe80/,
  ]);
  t.match(routesIn(container, 100).join(), /default via 192\.168\.1\.1 .*,192\.168\.1\.0\/24 dev net1/);
  t.match(node.cni("sbr", "CHECK", { ...conf({ addSourceHints: true }), prevResult: added.stdout }, call), {
    status: 0,
  });
});

t.test("sbr: DEL removes its rules, whatever is missing, and no others", needsRoot, async (t) => {
  const node = newHost(t);
  const foreign = "ip rule add from 192.168.1.209 fwmark 7 lookup 77\nip rule add from 192.168.1.0/24 lookup 78";
  const container = containerWith(node, `${interfaceByHand}\n${foreign}`);
  const before = ownRules(container);
  const nowhere = "/run/netns/gone-long-ago";
  for (const netns of ["", nowhere, undefined, "/etc/passwd"]) {
    const environment = { CNI_NETNS: netns };
    t.match(node.cni("sbr", "DEL", conf(), { ...call, environment }), { status: 0, stdout: "" }, `CNI_NETNS=${netns}`);
  }
  t.notOk(existsSync(nowhere), "and makes no file");

  node.cni("sbr", "ADD", conf(), call);
  for (const again of ["once", "twice"]) {
    t.match(node.cni("sbr", "DEL", network(), call), { status: 0, stdout: "" }, again);
    t.strictSame(ownRules(container), before, "found by the interface's addresses");
  }

  container.sh("ip link delete net1");
  container.sh(interfaceByHand);
  node.cni("sbr", "ADD", conf(), call);
  container.sh("ip link delete net1");
  t.match(node.cni("sbr", "DEL", network(), call), { status: 0 });
  t.equal(
    ownRules(container).length,
    before.length + 2,
    "without prevResult nobody knows the addresses of an interface that is gone",
  );
  container.sh("ip link add other type veth; ip address add 192.168.1.209/24 dev other");
  t.match(node.cni("sbr", "DEL", conf(), call), { status: 0 });
  t.match(ownRules(container).join(), /from 192\.168\.1\.209 lookup 100/, "which is another interface's by now");
  container.sh("ip link delete other");
  t.match(node.cni("sbr", "DEL", conf(), call), { status: 0 });
  t.strictSame(ownRules(container), before, "found by the addresses of prevResult");
});

t.test("sbr: an ADD that fails changes nothing", needsRoot, async (t) => {
  const node = newHost(t);
  containerWith(node);
  const before = node.snapshot();
  t.match(node.cni("sbr", "ADD", conf({ gateways: ["203.0.113.1"] }), call), {
    status: 1,
    stdout: {
      code: 999,
      msg: 'the kernel refuses "ip route add default via 203.0.113.1 table 100" in the container',
      details: /ENETUNREACH.*To fix: set a gateway that lies in one of the interface's subnets/,
    },
  });
  t.strictSame(node.snapshot(), before);
});

t.test("sbr: a second ADD without DEL is refused as one, and the first stays", needsRoot, async (t) => {
  const node = newHost(t);
  const container = containerWith(node);
  for (const keys of [{}, { table: 7 }, { gateways: ["192.168.1.1"] }, { addSourceHints: true }]) {
    t.match(node.cni("sbr", "ADD", conf(keys), call), { status: 0 });
    const first = container.sh("ip rule; ip route show table all; ip -6 rule; ip -6 route show table all");
    t.match(node.cni("sbr", "ADD", conf(keys), call), {
      status: 1,
      stdout: {
        msg: `rule "from 192.168.1.209 lookup ${keys.table ?? 100}" already exists in the container`,
        details: /^To fix: delete the attachment that made it \(DEL\)/,
      },
    });
    t.equal(container.sh("ip rule; ip route show table all; ip -6 rule; ip -6 route show table all"), first);
    t.match(node.cni("sbr", "DEL", conf(keys), call), { status: 0 });
    container.sh(`ip link delete net1\n${interfaceByHand}`);
  }
});

t.test("sbr: CHECK misses rules and routes", needsRoot, async (t) => {
  const node = newHost(t);
  const container = containerWith(node);
  const { stdout } = node.cni("sbr", "ADD", conf(), call);
  const check = (keys: Json = {}) => node.cni("sbr", "CHECK", { ...network(keys), prevResult: stdout }, call);
  const says = (msg: string) => ({ status: 1, stdout: { code: 999, msg } });
  t.match(check(), { status: 0, stdout: "" });
  t.match(check({ table: 7 }), says('rule "from 192.168.1.209 lookup 7" is missing'));
  container.sh("ip route delete default table 100");
  t.match(check(), says("the default route in table 100, for what comes from 192.168.1.209, is missing"));
  container.sh("ip route add default via 192.168.1.1 dev net1 table 100");
  t.match(check(), { status: 0 });
  container.sh("ip -6 rule delete from fd00:9::209 lookup 101");
  t.match(check(), says("the rule from fd00:9::209 to a table of its own is missing"));
});

t.test("sbr: what it cannot work with is refused, before anything is made", needsRoot, async (t) => {
  const node = newHost(t);
  const container = containerWith(node);
  const before = [ownRules(container), routesIn(container, "main")];
  const cases: [Json, object][] = [
    [network(), { code: 7, msg: "This plugin must be called as chained plugin" }],
    [network({ prevResult: prevResult({ ips: [] }) }), { code: 7, msg: "No IP addresses supplied on interface: net1" }],
    [
      network({ prevResult: prevResult({ interfaces: [{ name: "eth0" }] }) }),
      { code: 7, msg: "No IP addresses supplied on interface: net1" },
    ],
    [
      conf({ gateways: ["192.168.1.1", "192.168.1.2"] }),
      { code: 7, msg: 'multiple IPv4 addresses in "gateways": 192.168.1.1, 192.168.1.2' },
    ],
    [
      conf({ gateways: ["fd00::1", "192.168.1.1", "fd00::2"] }),
      { code: 7, msg: 'multiple IPv6 addresses in "gateways": fd00::1, 192.168.1.1, fd00::2' },
    ],
    [conf({ gateways: ["gateway"] }), { code: 7, msg: '"gateways[0]" is "gateway", must be an IP address' }],
    [conf({ table: 0 }), { code: 7, msg: '"table" is 0, must be from 1 to 4294967295' }],
    [conf({ table: "100" }), { code: 7, msg: '"table" is "100", must be a whole number' }],
  ];
  for (const [keys, says] of cases) t.match(node.cni("sbr", "ADD", keys, call), { status: 1, stdout: says });
  t.match(node.cni("sbr", "ADD", conf(), { ifName: "net7" }).status, 1);
  t.match(node.cni("sbr", "STATUS", conf({ gateways: ["192.168.1.1", "192.168.1.2"] })), {
    status: 1,
    stdout: { code: 7 },
  });
  t.match(node.cni("sbr", "STATUS", conf()), { status: 0, stdout: "" });
  t.match(
    node.cni("sbr", "ADD", conf({ tabel: 7, gateway: "192.168.1.1" }), call).stderr,
    /"tabel".*"table".*\n.*"gateway".*"gateways"/,
  );
  node.cni("sbr", "DEL", conf(), call);
  t.strictSame(ownRules(container), before[0]);
});
