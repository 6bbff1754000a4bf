// What becomes of limits: repaired, beside what others have put there, checked, removed.
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { goBin } from "../lab/project.ts";
import { both, Chain, egress, ifbName, needed, type Result, sending } from "./chain.ts";

t.test("bandwidth: two interfaces of a container are limited each by itself", needed, async (t) => {
  const chain = new Chain(t);
  const net1 = { ifName: "net1" };
  const slow = { egressRate: 1_000_000, egressBurst: 100_000 };
  for (const order of [
    [undefined, net1],
    [net1, undefined],
  ]) {
    const added = [chain.call("ADD", egress), chain.call("ADD", slow, net1)];
    const names = added.map(({ stdout }) => (stdout as Result).interfaces.at(-1)?.name ?? "");
    t.equal(names[0], ifbName("net", "container-0"), "the first one has the reference plugin's name");
    t.strictSame(chain.ifbs().sort(), [...names].sort());
    t.match(chain.traffic().join("\n"), `dev ${names[0]} root ${sending}`);
    t.match(chain.traffic().join("\n"), `dev ${names[1]} root rate 1Mbit`);
    t.match(chain.call("CHECK", egress), { status: 0 });
    t.match(chain.call("CHECK", slow, net1), { status: 0 });
    const [one, other] = order;
    t.match(chain.call("DEL", {}, one), { status: 0, stdout: "" });
    t.match(chain.call("CHECK", other ? slow : egress, other), { status: 0 }, "the other one is as it was");
    t.match(chain.call("DEL", {}, other), { status: 0, stdout: "" });
    t.strictSame(chain.ifbs(), []);
  }
});

t.test("bandwidth: ADD again, after a crash say, repairs and adjusts", needed, async (t) => {
  const chain = new Chain(t);
  chain.call("ADD", both);
  const whole = chain.traffic();
  const [ifb] = chain.ifbs();
  const damages = [
    "true",
    `tc qdisc del dev ${ifb} root; ip link set ${ifb} down`,
    `tc filter del dev ${chain.port()} parent ffff:`,
    `tc qdisc del dev ${chain.port()} ingress`,
    `tc qdisc del dev ${chain.port()} root`,
    `ip link del ${ifb}`, // its redirection now drops everything
    `tc qdisc change dev ${chain.port()} root handle 1: tbf rate 1mbit burst 10k latency 1ms`,
  ];
  for (const damage of damages) {
    chain.node.sh(damage);
    t.match(chain.call("ADD", both), { status: 0, stderr: "" }, damage);
    t.strictSame(chain.traffic().sort(), [...whole].sort(), damage);
    t.match(chain.call("CHECK", both), { status: 0 }, damage);
    t.equal(chain.node.containers[0]?.run("ping", "-c1", "-W5", "10.1.0.1").status, 0, "and packets pass");
  }
});

t.test("bandwidth: a policy's filters keep their place, before ours", needed, async (t) => {
  const chain = new Chain(t);
  const policy = "tc filter add dev $P ingress prio 7 protocol ip u32 match ip dst 10.9.9.9 flowid 1:9";
  for (const hook of ["clsact", "ingress"]) {
    chain.node.sh(`P=${chain.port()}; tc qdisc add dev $P ${hook}; ${policy}`);
    const before = chain.traffic();
    t.match(chain.call("ADD", both), { status: 0 }, hook);
    t.match(chain.call("ADD", both), { status: 0 }, `${hook}, again`);
    const [ifb = ""] = chain.ifbs();
    t.match(
      chain.traffic().join("\n"),
      new RegExp(`pref 8 u32 .*flowid 1:1 .*\n.*\n.*Redirect to device ${ifb}\\) stolen$`, "m"),
    );
    t.equal(chain.traffic().filter((line) => / mirred /.test(line)).length, 1);
    t.match(chain.call("CHECK", both), { status: 0 });
    t.strictSame(
      before.filter((line) => !chain.traffic().includes(line)),
      [],
      `${hook}: theirs is as it was`,
    );
    chain.call("DEL", both);
    chain.node.sh(`P=${chain.port()}; tc qdisc del dev $P ${hook}; tc qdisc del dev $P root`);
  }
});

t.test("bandwidth: another discipline on the link is refused, and stays", needed, async (t) => {
  const chain = new Chain(t);
  for (const theirs of ["handle 1: pfifo limit 9", "handle 5: tbf rate 1mbit burst 10k latency 1ms"]) {
    chain.node.sh(`tc qdisc add dev ${chain.port()} root ${theirs}`);
    const before = chain.node.snapshot();
    const msg = /^"veth\S+" has a queueing discipline of kind "(pfifo|tbf)" already$/;
    t.match(chain.call("ADD", both), { status: 1, stdout: { code: 999, msg }, stderr: "" }, theirs);
    t.strictSame(chain.node.snapshot(), before, theirs);
    chain.node.sh(`tc qdisc del dev ${chain.port()} root`);
  }
});

t.test("bandwidth: CHECK says what is not as it should be", needed, async (t) => {
  const chain = new Chain(t);
  const port = chain.port();
  chain.call("ADD", both);
  const [ifb] = chain.ifbs();
  const tbf = (options: string) => `tc qdisc replace dev ${port} root handle 1: tbf ${options}`;
  const damages: [damage: string, msg: RegExp][] = [
    [
      tbf("rate 9mbit burst 100000 latency 25ms"),
      /^Rate doesn't match: "veth\S+" has bytesPerSecond 1125000, must have 1000000$/,
    ],
    [
      tbf("rate 8mbit burst 100000 latency 50ms"),
      /^Limit doesn't match: "veth\S+" has limitBytes \d+, must have 125000$/,
    ],
    [
      tbf("rate 8mbit burst 50000 limit 125000"),
      /^Buffer doesn't match: "veth\S+" has bufferTicks \d+, must have 1562500$/,
    ],
    [`tc qdisc del dev ${port} root`, /^"veth\S+" is not limited: Failed to find qdisc$/],
    [`tc qdisc del dev ${port} ingress`, /^what "veth\S+" receives is not redirected to "bwp/],
    [`tc qdisc del dev ${ifb} root`, /^"bwp\S+" is not limited: Failed to find qdisc$/],
    [`ip link set ${ifb} down`, /^"bwp\S+", which limits what "eth0" sends, is down, must be up$/],
    [`ip link del ${ifb}`, /^the ifb device that limits what "eth0" sends is missing$/],
  ];
  for (const [damage, msg] of damages) {
    chain.node.sh(damage);
    t.match(chain.call("CHECK", both), { status: 1, stdout: { code: 999, msg } }, damage);
    t.match(chain.call("ADD", both), { status: 0 }, damage);
  }
  t.match(chain.call("CHECK", { ...both, prevResult: undefined }), {
    status: 1,
    stdout: { msg: "must be called as a chained plugin" },
  });
});

t.test("bandwidth: DEL removes the ifb, also the reference plugin's, whatever is missing", needed, async (t) => {
  const chain = new Chain(t);
  const gone = { environment: { CNI_NETNS: "" } };
  for (const [keys, call] of [
    [both, {}],
    [{}, gone],
    [{ ingressRate: 5 }, {}],
    [{ prevResult: undefined }, gone],
  ] as const) {
    chain.call("ADD", both);
    for (const _again of [1, 2]) t.match(chain.call("DEL", keys, call), { status: 0, stdout: "", stderr: "" });
    t.strictSame(chain.ifbs(), []);
  }
  chain.node.sh(`ip link add ${ifbName("net", "container-0")} type ifb`);
  chain.node.sh(`ip link add ${ifbName("net", "other")} type ifb`);
  t.match(chain.call("DEL", {}), { status: 0 });
  t.strictSame(chain.ifbs(), [ifbName("net", "other")], "and nobody else's");
});

t.test(
  "bandwidth: DEL of a further interface leaves the reference plugin's ifb of the first one",
  needed,
  async (t) => {
    const chain = new Chain(t);
    const net1 = { ifName: "net1" };
    const theirs = ifbName("net", "container-0");
    chain.node.sh(`ip link add ${theirs} type ifb`);
    t.match(chain.call("ADD", egress, net1), { status: 0 });
    t.equal(chain.ifbs().length, 2);
    t.match(chain.call("CHECK", egress, net1), { status: 0 });
    t.match(chain.call("DEL", egress, net1), { status: 0, stdout: "" });
    t.strictSame(chain.ifbs(), [theirs]);
  },
);

t.test(
  "bandwidth: DEL leaves the reference plugin's ifb that another interface of the container uses",
  needed,
  async (t) => {
    const chain = new Chain(t);
    const theirs = ifbName("net", "container-0");
    const net1 = { ifName: "net1" };
    chain.result(net1);
    const gone = { environment: { CNI_NETNS: "" } };
    const old = { cniVersion: "1.0.0", prevResult: { ...chain.result(), cniVersion: "1.0.0" } };
    t.match(chain.call("ADD", { ...egress, ...old }, { bin: goBin }), { status: 0 });
    const unmark = () => {
      for (const port of [chain.port(), chain.port(net1)]) chain.node.sh(`ip link set ${port} alias ''`);
    };
    for (const [keys, call, prepare] of [
      [{}, {}, () => {}],
      [{ prevResult: undefined }, gone, () => {}],
      [{}, gone, unmark],
      [{ prevResult: undefined }, {}, () => {}],
    ] as const) {
      prepare();
      t.match(chain.call("DEL", keys, { ...net1, ...call }), { status: 0, stdout: "", stderr: "" });
      t.strictSame(chain.ifbs(), [theirs]);
    }
    t.match(chain.call("DEL", { prevResult: undefined }), { status: 0, stdout: "" });
    t.strictSame(chain.ifbs(), [], "its own goes");
  },
);

t.test("bandwidth: GC removes the network's ifbs of attachments that are gone, and nothing else", needed, async (t) => {
  const chain = new Chain(t, { containers: 2 });
  const second = { container: 1 };
  chain.call("ADD", both);
  chain.call("ADD", both, second);
  chain.node.sh("ip link add theirs type ifb; ip link set theirs alias 'cni other container-9 eth0'");
  chain.node.sh("ip link add plain type ifb");
  const before = chain.ifbs();
  const links = (): number => chain.node.sh("ip -br link show type veth").split("\n").length;
  const vethsBefore = links();
  const valid = (...ids: string[]) => ({
    "cni.dev/valid-attachments": ids.map((containerID) => ({ containerID, ifname: "eth0" })),
  });
  t.match(chain.call("GC", valid("container-0", "container-1")), { status: 0, stdout: "" });
  t.strictSame(chain.ifbs(), before);
  t.match(chain.call("GC", valid("container-1")), { status: 0, stdout: "" });
  t.strictSame(
    chain.ifbs(),
    before.filter((name) => name !== ifbName("net", "container-0")),
  );
  t.match(chain.call("CHECK", both, second), { status: 0 });
  t.match(chain.call("GC", valid()), { status: 0, stdout: "" });
  t.strictSame(chain.ifbs(), ["theirs", "plain"]);
  t.equal(links(), vethsBefore, "veths are the bridge plugin's business");
});

t.test("bandwidth: STATUS says what is wrong with the limits", needed, async (t) => {
  const chain = new Chain(t);
  t.match(chain.call("STATUS", both), { status: 0, stdout: "" });
  t.match(chain.call("STATUS", { ingressRate: 8 }), { status: 1, stdout: { code: 7 } });
});

t.test("bandwidth: limits of the reference plugin are checked and removed", needed, async (t) => {
  if (!existsSync(join(goBin, "bandwidth"))) throw new Error(`no Go plugins in ${goBin}: npm run setup`);
  const chain = new Chain(t);
  // a burst of 4295 s at its rate: the reference plugin takes it modulo 2^32
  const huge = {
    cniVersion: "1.0.0",
    ingressRate: 1e6,
    ingressBurst: 2 ** 32 - 1,
    egressRate: 1e6,
    egressBurst: 2 ** 32 - 1,
  };
  const added = chain.call("ADD", { ...huge, prevResult: { ...chain.result(), cniVersion: "1.0.0" } }, { bin: goBin });
  t.match(added, { status: 0 });
  t.match(chain.call("CHECK", { ...huge, prevResult: added.stdout }), { status: 0 });
  t.match(chain.call("DEL", huge), { status: 0 });
  t.strictSame(chain.ifbs(), []);
});
