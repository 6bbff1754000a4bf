// A random walk: another process damages the rules on a fake kernel, which refuses some requests. In the end the rules are what they should
// be, before the check that is due to time alone.
import t from "tap";
import { FakeClock } from "../../cluster/event-loop/clock.testing.ts";
import type { NetlinkHandler } from "../../cluster/event-loop/netlink-watch.ts";
import { cidr, silent } from "../../cluster/lease/fake.testing.ts";
import { usesLegacy } from "../../firewall/iptables/host.ts";
import {
  type ChainRef,
  chainOf,
  deleteRule,
  deleteTable,
  expressionsOf,
  findRules,
  findTable,
  flushChain,
  handleOf,
  newChain,
  newRule,
  newTable,
} from "../../firewall/nftables/ruleset.ts";
import { commit } from "../../firewall/nftables/transaction.ts";
import { FakeNetfilter } from "../../netlink/fake/netfilter.testing.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../../netlink/nftables/header.ts";
import { NFT_MSG_DELRULE } from "../../netlink/nftables/rule.ts";
import { randomFrom, testSeed } from "../../sys/random.testing.ts";
import { createTraffic } from "./rules.ts";
import { startRulesLoop } from "./rules-loop.ts";
import type { TrafficConf } from "./settings.ts";

const steps = { nftables: 20, iptables: 8 } as const;
/** The interval of checks, and a time that is shorter, but longer than the pauses that a few repairs lead to. */
const RESYNC_MS = 300_000;
const QUIET_MS = 200_000;
/** In one step: each failure doubles the pause before the next attempt. */
const MOST_REFUSALS = 4;

type TableRef = Omit<ChainRef, "chain">;

const tables: Record<TrafficConf["kind"], TableRef[]> = {
  nftables: [
    { family: NFPROTO_IPV4, table: "flannel-ipv4" },
    { family: NFPROTO_IPV6, table: "flannel-ipv6" },
  ],
  iptables: [NFPROTO_IPV4, NFPROTO_IPV6].flatMap((family) => ["nat", "filter"].map((table) => ({ family, table }))),
};

const seed = testSeed();
const skip = usesLegacy("ip") || usesLegacy("ip6") ? "the host's iptables is the legacy variant" : false;
for (const kind of ["nftables", "iptables"] as const) {
  t.test(`${kind}: after any damage the rules are what they should be (TWILL_SEED=${seed})`, { skip }, async (t) => {
    const random = randomFrom(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const kernel = new FakeNetfilter();
    const other = kernel.connect();
    const theirs = { family: NFPROTO_IPV4, table: "theirs" };
    commit(other, [newTable(theirs), newChain({ ...theirs, chain: "own" })]);
    const netfilter = kernel.connect();
    const traffic = createTraffic(() => netfilter, {
      kind,
      families: [
        { network: cidr("10.5.0.0/16"), subnet: cidr("10.5.34.0/24") },
        { network: cidr("fd00:5::/48"), subnet: cidr("fd00:5:0:34::/64") },
      ],
      earlierNetworks: [],
      masquerade: true,
      forward: true,
      randomFully: true,
      noMasquerade: [cidr("192.168.0.0/16")],
    });
    traffic.ensure();
    const expected = contentOf(kernel.text());
    t.match(expected.join("\n"), /chain (forward|FLANNEL-FWD)/);

    const clock = new FakeClock();
    let handler: NetlinkHandler | undefined;
    const watch = (watching: NetlinkHandler) => {
      handler = watching;
      return { read() {}, stop() {} };
    };
    const loop = startRulesLoop(traffic, { resyncMs: RESYNC_MS, log: silent, repaired() {} }, { clock, watch });
    t.teardown(loop.stop);
    for (let step = 1; step <= steps[kind]; step++) {
      let refusals = below(3) === 0 ? MOST_REFUSALS : 0;
      for (let act = below(8); act >= 0; act--) {
        damage();
        if (below(4) === 0) handler?.overflowed();
        else handler?.messages([{ type: NFT_MSG_DELRULE, flags: 0, sequence: 0, port: 0, body: new Uint8Array() }]);
        kernel.refuse = () => (refusals > 0 && below(4) === 0 && refusals-- ? "ENOBUFS" : undefined);
        await clock.pass(below(1500));
        kernel.refuse = undefined;
      }
      await clock.pass(QUIET_MS);
      const found = contentOf(kernel.text());
      if (found.join("\n") !== expected.join("\n")) return void t.strictSame(found, expected, `step ${step}`);
    }
    t.pass(`${steps[kind]} steps`);

    /** Deletes a table, empties a chain, deletes a rule, or adds one twice. */
    function damage(): void {
      const present = tables[kind].filter((table) => findTable(other, table) !== undefined);
      const table = present[below(present.length)];
      const rules = table === undefined ? [] : findRules(other, table);
      const rule = rules[below(rules.length)];
      if (table === undefined || rule === undefined) return;
      const chain: ChainRef = { ...table, chain: chainOf(rule) };
      const expressions = expressionsOf(rule) ?? new Uint8Array();
      const [change = deleteTable(table)] = [
        flushChain(chain),
        deleteRule(chain, handleOf(rule)),
        newRule(chain, { expressions, at: below(2) === 0 ? "first" : "last" }),
      ].slice(below(4));
      commit(other, [change]);
    }
  });
}

/** Returns each chain with its table, sorted: tables and chains that were made again are in another order. */
function contentOf(text: string): string[] {
  return text
    .split(/^(?=table )/m)
    .flatMap((table) => {
      const [head = "", ...chains] = table.split(/^(?= {2}chain )/m);
      return [head.trim(), ...chains.map((chain) => `${head.trim()} ${chain.replace(/\n}\s*$/, "").trim()}`)];
    })
    .toSorted();
}
