// What bandwidth makes of limits, and what it refuses.
import t from "tap";
import { both, Chain, type Conf, egress, ifbName, ingress, needed, reception, redirection, sending } from "./chain.ts";

t.test("bandwidth: both directions are limited, and the ifb is in the result", needed, async (t) => {
  const chain = new Chain(t);
  const added = chain.call("ADD", both);
  t.match(added, { status: 0, stderr: "" });
  const [ifb = "", ...others] = chain.ifbs();
  t.strictSame(others, []);
  t.equal(ifb, ifbName("net", "container-0"));
  t.strictSame(chain.traffic(), [
    `qdisc tbf 1: dev ${chain.port()} root ${reception}`,
    `qdisc ingress ffff: dev ${chain.port()} parent ffff:fff1 ----------------`,
    `qdisc tbf 1: dev ${ifb} root ${sending}`,
    ...redirection(chain.port(), ifb),
  ]);
  const [link] = chain.node.json("ip", "-j", "link", "show", ifb) as Conf[];
  t.match(link, { mtu: 1500, ifalias: "cni net container-0 eth0", txqlen: undefined });
  const expected = [...chain.result().interfaces, { name: ifb, mac: link?.["address"] }];
  t.strictSame(added.stdout, { ...chain.result(), interfaces: expected });
  t.match(chain.call("CHECK", { ...both, prevResult: added.stdout }), { status: 0, stdout: "" });
});

t.test("bandwidth: the ifb has the MTU of the veth pair", needed, async (t) => {
  const chain = new Chain(t);
  chain.node.sh(`ip link set ${chain.port()} mtu 1400`);
  t.match(chain.call("ADD", both), { status: 0 });
  t.match(chain.node.json("ip", "-j", "link", "show", chain.ifbs()[0] ?? ""), [{ mtu: 1400 }]);
});

t.test("bandwidth: either direction may be without a limit", needed, async (t) => {
  const chain = new Chain(t);
  t.strictSame(chain.call("ADD", ingress).stdout, chain.result());
  t.strictSame(chain.traffic(), [`qdisc tbf 1: dev ${chain.port()} root ${reception}`]);
  t.strictSame(chain.ifbs(), []);
  chain.node.sh(`tc qdisc del dev ${chain.port()} root`);
  t.match(chain.call("ADD", { ...egress, ingressRate: 0, ingressBurst: 0 }), { status: 0 });
  t.strictSame(
    chain.traffic().filter((line) => / tbf /.test(line)),
    [`qdisc tbf 1: dev ${chain.ifbs()[0]} root ${sending}`],
  );
});

t.test("bandwidth: without limits the result is passed on, of whatever kind the interface is", needed, async (t) => {
  const chain = new Chain(t);
  const result = { cniVersion: "1.1.0", interfaces: [{ name: "eth0", sandbox: "/gone" }], ips: [], routes: [] };
  for (const keys of [{}, { runtimeConfig: {} }, { ingressRate: 0 }, { runtimeConfig: { bandwidth: {} } }]) {
    const added = chain.call("ADD", { ...keys, prevResult: result });
    t.match(added, { status: 0, stdout: { interfaces: result.interfaces }, stderr: "" });
    t.match(chain.call("CHECK", { ...keys, prevResult: result }), { status: 0, stdout: "" });
    t.match(chain.call("DEL", { ...keys, prevResult: result }), { status: 0, stdout: "" });
  }
  t.strictSame(chain.traffic(), []);
});

t.test("bandwidth: the runtime's limits count unless the configuration has one of the keys", needed, async (t) => {
  const chain = new Chain(t);
  const runtimeConfig = { bandwidth: ingress };
  t.match(chain.call("ADD", { runtimeConfig }), { status: 0 });
  t.strictSame(chain.traffic(), [`qdisc tbf 1: dev ${chain.port()} root ${reception}`]);
  t.match(chain.call("CHECK", { runtimeConfig }), { status: 0 });
  t.match(chain.call("ADD", { runtimeConfig, ingressRate: 16, ingressBurst: 8 }), { status: 0 });
  t.strictSame(chain.traffic(), [`qdisc tbf 1: dev ${chain.port()} root rate 16bit burst 1b lat 0us`]);
  t.match(chain.call("ADD", { runtimeConfig, egressRate: 0 }), { status: 0, stdout: chain.result() });
});

const edges: [limit: Conf, tc: string | RegExp][] = [
  [{ ingressRate: 8, ingressBurst: 8 }, "rate 8bit burst 1b lat 0us"],
  [{ ingressRate: 80e9, ingressBurst: 16e6 }, "rate 80Gbit burst 2000000b lat 25ms"],
  [{ ingressRate: 800e9, ingressBurst: 2 ** 35 - 16 }, /^rate 800Gbit burst 429\d+b lat \d+/],
  [{ ingressRate: 1e6, ingressBurst: 2 ** 32 - 1 }, /^rate 1Mbit burst 3435973\db lat /],
  [{ ...ingress, latency: 100 }, "rate 8Mbit burst 100000b lat 100ms"],
];
for (const [limit, tc] of edges) {
  t.test(`bandwidth: ${Object.values(limit).join(", ")} reads ${tc}`, needed, async (t) => {
    const chain = new Chain(t);
    t.match(chain.call("ADD", limit), { status: 0 });
    t.match(
      chain.traffic().map((line) => line.replace(/.* root /, "")),
      [tc],
    );
    t.match(chain.call("CHECK", limit), { status: 0 });
  });
}

t.test("bandwidth: what cannot be is refused with its reason, and nothing is changed", needed, async (t) => {
  const chain = new Chain(t);
  chain.result();
  const before = chain.node.snapshot();
  const refusals: [keys: Conf, code: number, msg: string | RegExp][] = [
    [{ ingressRate: 8000 }, 7, `"ingressBurst" is missing: if rate is set, burst must also be set`],
    [{ ...ingress, egressBurst: 8000 }, 7, `"egressRate" is missing: if burst is set, rate must also be set`],
    [{ ingressRate: 8, ingressBurst: 2 ** 35 }, 7, `"ingressBurst" is ${2 ** 35} bits: burst cannot be more than 4GB`],
    [{ egressRate: 7, egressBurst: 8 }, 7, `"egressRate" is 7 bit/s, must be at least 8`],
    [{ egressRate: 8, egressBurst: 7 }, 7, `"egressBurst" is 7 bits, must be at least 8 at 8 bit/s`],
    [{ egressRate: 80e9, egressBurst: 8000 }, 7, /^"egressBurst" is 8000 bits, must be at least 80000 at 80000000000/],
    [{ ingressRate: -1, ingressBurst: 8 }, 7, /^"ingressRate" is -1, must be /],
    [{ ingressRate: "1M", ingressBurst: 8 }, 7, /^"ingressRate" is "1M", must be /],
    [{ runtimeConfig: { bandwidth: { egressRate: 1.5 } } }, 7, /^"runtimeConfig.bandwidth.egressRate" is 1.5, must be/],
    [{ ...both, prevResult: undefined }, 7, "must be called as chained plugin"],
    [{ prevResult: undefined }, 7, "must be called as chained plugin"],
    [{ ...both, cniVersion: "0.2.0" }, 1, "incompatible CNI versions"],
    [both, 7, /no interfaces provided$/],
    [both, 999, /^no veth peer of container interface found in host ns: "veth\S+" is not among prevResult's, "br0"$/],
  ];
  const { interfaces } = chain.result();
  const results: Record<number, unknown> = { 12: [], 13: interfaces.filter(({ name }) => !/^veth/.test(name)) };
  for (const [i, [keys, code, msg]] of refusals.entries()) {
    const prevResult = results[i] === undefined ? {} : { prevResult: { ...chain.result(), interfaces: results[i] } };
    const refused = chain.call("ADD", { ...keys, ...prevResult });
    t.match(refused, { status: 1, stdout: { code, msg, details: /To fix: |config is/ } }, String(msg));
  }
  t.strictSame(chain.node.snapshot(), before);
  t.match(chain.call("ADD", { ...ingress, ingresRate: 1 }).stderr, /"ingresRate".*"ingressRate"/s);
});

t.test("bandwidth: an interface that is not a veth, or whose other end is elsewhere, is refused", needed, async (t) => {
  const chain = new Chain(t, { containers: 2 });
  const [first, second] = chain.node.containers;
  chain.result();
  first?.sh("ip link add ifb1 type ifb");
  first?.sh(`ip link add away type veth peer name back netns ${second?.name}`);
  const expected: [ifName: string, msg: RegExp][] = [
    ["eth9", /^container interface eth9 has no veth peer: it does not exist$/],
    ["ifb1", /^container interface ifb1 has no veth peer: it is of kind "ifb"$/],
    ["away", /^veth peer with index \d+ is not in host ns$/],
  ];
  for (const [ifName, msg] of expected) {
    const conf = { cniVersion: "1.1.0", name: "net", type: "bandwidth", prevResult: chain.result(), ...both };
    t.match(chain.node.cni("bandwidth", "ADD", conf, { ifName }), { status: 1, stdout: { msg } }, ifName);
  }
  t.strictSame(chain.traffic(), []);
});
