// Rules and routes that somebody else takes away come back, as soon as the kernel tells.
import t from "tap";
import { rateLimited } from "../../pkg/cluster/log/rate-limited.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { startBlackholeLoop } from "../../pkg/flannel/rules/blackhole-route.ts";
import type { Traffic } from "../../pkg/flannel/rules/rules.ts";
import { startRulesLoop } from "../../pkg/flannel/rules/rules-loop.ts";
import { connect, NETLINK_ROUTE } from "../../pkg/netlink/connection.ts";
import { openNamespace, within } from "../../pkg/sys/namespace.ts";
import { until } from "../cluster/until.ts";
import { type Namespace, newHost } from "../lab/host.ts";
import { needsKernel, needsRoot } from "../lab/needs.ts";
import { iptables, ipv4, ipv6, memoryLog, nftables, prefix, trafficOf } from "./traffic.ts";

const needs = needsKernel("iptables_nat");
/** So long that only events can be the cause of what is awaited. */
const NEVER_MS = 3_600_000;

type Test = { teardown(work: () => void): unknown };

function kept(
  t: Test,
  host: Namespace,
  traffic: Traffic,
  { resyncMs = NEVER_MS, onRepair = () => {}, isLimited = false } = {},
) {
  const log = memoryLog();
  const repairs: number[] = [];
  const repaired = (count: number) => {
    repairs.push(count);
    onRepair();
  };
  const options = { resyncMs, log: isLimited ? rateLimited(log) : log, repaired };
  t.teardown(within(openNamespace(host.path), () => startRulesLoop(traffic, options)).stop);
  return { log, repairs };
}

for (const conf of [iptables, nftables]) {
  const rule = { iptables: "FLANNEL-FWD -s 10.5.0.0/16", nftables: "ip saddr 10.5.0.0/16 accept" }[conf.kind];
  const damages = {
    iptables: ["iptables -w -F FLANNEL-FWD", "iptables -w -F", "nft flush ruleset"],
    nftables: ["nft flush chain ip flannel-ipv4 forward", "nft delete table ip flannel-ipv4", "nft flush ruleset"],
  }[conf.kind];
  const listed = (host: Namespace) =>
    conf.kind === "iptables" ? host.sh("iptables -w -S") : host.sh("nft list ruleset");

  t.test(`${conf.kind}: what somebody deletes comes back, and that is told`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const traffic = trafficOf(host, conf);
    traffic.ensure();
    const { log, repairs } = kept(t, host, traffic);
    for (const [i, damage] of damages.entries()) {
      host.sh(damage);
      await until(`the repair after: ${damage}`, () => repairs.length > i);
      t.match(listed(host), rule);
    }
    t.equal(traffic.ensure(), 0, "all of it is back");
    const restored = "repaired rules of the pod network that another process had changed";
    t.strictSame(
      log.told,
      repairs.map((chains) => ({ level: "info", message: restored, fields: { chains } })),
    );
  });

  t.test(
    `${conf.kind}: somebody who deletes them again and again is told of once, and waited for`,
    needs,
    async (t) => {
      const host = newHost(t, { containers: 0 });
      const traffic = trafficOf(host, conf);
      traffic.ensure();
      const damage = damages[0] ?? "";
      const { log, repairs } = kept(t, host, traffic, { onRepair: () => host.sh(damage) });
      host.sh(damage);
      await until("six repairs", () => repairs.length >= 6);
      const warnings = log.told.filter(({ level }) => level === "warn");
      t.match(warnings, [{ message: /^another process keeps changing the rules of the pod network/ }]);
      t.equal(warnings.length, 1);
    },
  );
}

for (const conf of [iptables, nftables]) {
  t.test(`${conf.kind}: two networks that are both kept come back together`, needs, async (t) => {
    const host = newHost(t, { containers: 0 });
    const other = { network: prefix("10.6.0.0/16"), subnet: prefix("10.6.77.0/24") };
    const both = [trafficOf(host, conf), trafficOf(host, { ...conf, families: [other] })];
    for (const traffic of both) traffic.ensure();
    const keepers = both.map((traffic) => kept(t, host, traffic));
    for (let round = 1; round <= 3; round++) {
      host.sh("nft flush ruleset");
      await until("both repairs", () => keepers.every(({ repairs }) => repairs.length >= round));
      for (const traffic of both) t.equal(traffic.ensure(), 0, "nobody takes anything away");
    }
    t.strictSame(
      keepers.map(({ repairs }) => repairs.length),
      [3, 3],
    );
  });
}

t.test("where no events come, one looks from time to time", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  let looks = 0;
  const silent: Traffic = { ensure: () => (++looks % 3 === 0 ? 1 : 0), clean() {} };
  const { repairs } = kept(t, host, silent, { resyncMs: 10 });
  await until("two repairs", () => repairs.length >= 2);
});

t.test("what cannot be mended is told once, with what to do, and tried again", needs, async (t) => {
  const host = newHost(t, { containers: 0 });
  let looks = 0;
  const refusing: Traffic = {
    ensure() {
      looks++;
      throw new CniError({ code: ErrorCode.internal, msg: "no", remedy: "allow it" });
    },
    clean() {},
  };
  const { log } = kept(t, host, refusing, { resyncMs: 10, isLimited: true });
  await until("three attempts", () => looks >= 3);
  t.match(log.told, [
    {
      level: "error",
      message: "cannot maintain the rules of the pod network: retrying",
      fields: { error: /^no; / },
    },
  ]);
  t.equal(log.told.length, 1);
});

// --- The blackhole route -----------------------------------------------------------------------------------------------------------------

const blackholes = (host: Namespace) =>
  host.sh("ip route show type blackhole; ip -6 route show type blackhole").replaceAll(/ +\n/g, "\n");
const BOTH = "blackhole 10.5.34.0/24\nblackhole fd00:5:0:34::/64 dev lo metric 1024 pref medium\n";

async function keptBlackhole(t: Test, host: Namespace, subnets = [ipv4.subnet, ipv6.subnet]) {
  const log = memoryLog();
  const namespace = openNamespace(host.path);
  const rtnl = connect(NETLINK_ROUTE, namespace);
  await new Promise<void>((passed) => {
    const keep = () => startBlackholeLoop(rtnl, subnets, { resyncMs: NEVER_MS, log, passed: () => passed() });
    t.teardown(within(namespace, keep).stop);
  });
  return log;
}

t.test("the host's own subnets end in blackholes, which come back", needsRoot, async (t) => {
  const host = newHost(t, { containers: 0 });
  const log = await keptBlackhole(t, host);
  t.equal(blackholes(host), BOTH);
  for (const damage of ["ip route del blackhole 10.5.34.0/24", "ip -6 route del blackhole fd00:5:0:34::/64"]) {
    host.sh(damage);
    await until(`the repair after: ${damage}`, () => blackholes(host) === BOTH);
  }
  t.strictSame(log.told, []);
});

t.test("where a bridge holds the subnet there is no blackhole, whichever came first", needsRoot, async (t) => {
  const host = newHost(t, { containers: 0 });
  const log = await keptBlackhole(t, host);
  host.sh(`
    ip link add br0 type bridge; ip link set br0 up
    ip addr add 10.5.34.1/24 dev br0; ip addr add fd00:5:0:34::1/64 dev br0 nodad`);
  await until("the blackholes to step aside", () => blackholes(host) === "");
  t.match(host.sh("ip route get 10.5.34.2"), /dev br0/);
  t.match(host.sh("ip -6 route get fd00:5:0:34::2"), /dev br0/);
  host.sh("ip link set br0 down"); // of whose routes only IPv6's are told of
  await until("the blackholes", () => blackholes(host) === BOTH);
  host.sh("ip link set br0 up");
  await until("the blackholes to step aside", () => !blackholes(host).includes("10.5.34.0"));
  host.sh("ip link del br0");
  await until("the blackholes", () => blackholes(host) === BOTH);
  t.strictSame(log.told, []);
});

t.test("the blackhole comes when a bridge goes whose routes go without a word", needsRoot, async (t) => {
  const host = newHost(t, { containers: 0 });
  host.sh(`
    ip link add br0 type bridge
    echo 1 > /proc/sys/net/ipv6/conf/br0/disable_ipv6 # whose routes would be told of
    ip addr add 10.5.34.1/24 dev br0; ip link set br0 up`);
  const log = await keptBlackhole(t, host, [ipv4.subnet]);
  t.equal(blackholes(host), "");
  host.sh("ip link set br0 down");
  await until("the blackhole", () => blackholes(host) === "blackhole 10.5.34.0/24\n");
  t.strictSame(log.told, []);
});
