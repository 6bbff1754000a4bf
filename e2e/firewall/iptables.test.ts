// Rules written by netlink are iptables' own: it prints, finds and deletes them, and we do the same with what it writes.
import t from "tap";
import type { TableName } from "../../pkg/firewall/iptables/base-chain.ts";
import { canonicalRule, parseRuleLine } from "../../pkg/firewall/iptables/canonical.ts";
import { editRules, ensureRules } from "../../pkg/firewall/iptables/nft-variant.ts";
import type { Rule } from "../../pkg/firewall/iptables/rule.ts";
import type { FoundRule, Wanted } from "../../pkg/firewall/iptables/ruleset.ts";
import { prefix, samples } from "../../pkg/firewall/iptables/samples.testing.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../../pkg/netlink/connection.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { type Namespace, newHost } from "../lab/host.ts";
import { needsKernel, needsRoot } from "../lab/needs.ts";
import { started, startedScript } from "./at-once.ts";

const netfilterOf = (host: Namespace): Connection => connect(NETLINK_NETFILTER, openNamespace(host.path));

function iptables(host: Namespace, family: "ip" | "ip6", command: string): string {
  return host.sh(`${family}tables -w ${command}`);
}

t.test(
  "each rule written by netlink is printed, found and deleted by iptables",
  needsKernel("iptables_nat"),
  async (t) => {
    const host = newHost(t, { containers: 0 });
    const netfilter = netfilterOf(host);
    for (const { family = "ip", table = "filter", rule, words } of samples) {
      const chain = { family, table, chain: "CNI-test" };
      ensureRules(netfilter, [
        { family, table, chain: "CNI-abc", rules: [] },
        { ...chain, rules: [rule] },
      ]);
      const said = `${family} -t ${table} ${words}`;
      t.equal(iptables(host, family, `-t ${table} -S CNI-test`), `-N CNI-test\n-A CNI-test ${words}\n`, said);
      t.equal(host.run("sh", "-c", `${family}tables -w -t ${table} -C CNI-test ${words}`).stderr, "", `-C ${said}`);
      t.match(iptables(host, family, `-t ${table} -S`), words, "the table is not one that iptables refuses");
      t.equal(host.run("sh", "-c", `${family}tables -w -t ${table} -D CNI-test ${words}`).stderr, "", `-D ${said}`);
      t.equal(iptables(host, family, `-t ${table} -S CNI-test`), "-N CNI-test\n", `deleted: ${said}`);
    }
  },
);

t.test(
  "each rule written by iptables is found by us, and not added a second time",
  needsKernel("iptables_nat"),
  async (t) => {
    const host = newHost(t, { containers: 0 });
    const netfilter = netfilterOf(host);
    for (const { family = "ip", table = "filter", rule, words } of samples) {
      const said = `${family} -t ${table} ${words}`;
      iptables(host, family, `-t ${table} -N CNI-test 2>/dev/null || true`);
      iptables(host, family, `-t ${table} -N CNI-abc 2>/dev/null || true`);
      iptables(host, family, `-t ${table} -F CNI-test`);
      iptables(host, family, `-t ${table} -A CNI-test ${words}`);
      const before = iptables(host, family, `-t ${table} -S`);
      let found: FoundRule[] = [];
      editRules(netfilter, (view) => {
        found = view.rules({ family, table, chain: "CNI-test" });
        return [];
      });
      t.strictSame(
        found.map(({ canonicalForm: meaning }) => meaning),
        [canonicalRule(family, rule)],
        said,
      );
      ensureRules(netfilter, [{ family, table, chain: "CNI-test", rules: [rule] }]);
      t.equal(iptables(host, family, `-t ${table} -S`), before, `nothing to add: ${said}`);
    }
  },
);

t.test("base chains are made as iptables makes them", needsRoot, async (t) => {
  const host = newHost(t, { containers: 0 });
  const rule: Rule = { source: prefix("10.9.9.9/32"), target: "ACCEPT" };
  const rule6: Rule = { source: prefix("fd00::9/128"), target: "ACCEPT" };
  const chains = {
    filter: ["INPUT", "FORWARD", "OUTPUT"],
    nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
    mangle: ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
    raw: ["PREROUTING", "OUTPUT"],
  };
  const wanted = Object.entries(chains).flatMap(([table, names]) =>
    names.flatMap((chain): Wanted[] => [
      { family: "ip", table: table as TableName, chain, rules: [rule] },
      { family: "ip6", table: table as TableName, chain, rules: [rule6] },
    ]),
  );
  ensureRules(netfilterOf(host), wanted);
  const byUs = host.sh("nft list ruleset");
  host.sh("nft flush ruleset");
  for (const { family, table, chain } of wanted) {
    iptables(host, family, `-t ${table} -A ${chain} -s ${family === "ip" ? "10.9.9.9" : "fd00::9"} -j ACCEPT`);
  }
  t.equal(sortedTables(byUs), sortedTables(host.sh("nft list ruleset")));
});

t.test("the policy of a base chain stays what it is", needsRoot, async (t) => {
  const host = newHost(t, { containers: 0 });
  const netfilter = netfilterOf(host);
  for (const policy of ["DROP", "ACCEPT"]) {
    iptables(host, "ip", `-P FORWARD ${policy}`);
    const rule: Rule = { outInterface: `x${policy}`, target: "DROP" };
    ensureRules(netfilter, [{ family: "ip", table: "filter", chain: "FORWARD", rules: [rule] }]);
    t.match(iptables(host, "ip", "-S FORWARD"), `-P FORWARD ${policy}\n`);
  }
});

/** Tables in any order, and their chains. */
function sortedTables(listed: string): string {
  return listed
    .replace(/^# .*\n/gm, "")
    .split(/(?=^table |^\tchain )/m)
    .map((part) => part.replace(/\}\n*$/, "").trim())
    .sort()
    .join("\n");
}

t.test("rules are added first or last, in their order, once", needsRoot, async (t) => {
  const host = newHost(t, { containers: 0 });
  const netfilter = netfilterOf(host);
  iptables(host, "ip", "-A FORWARD -i old0 -j ACCEPT");
  const rule = (name: string): Rule => ({ inInterface: name, target: "ACCEPT" });
  for (let i = 0; i < 2; i++) {
    ensureRules(netfilter, [
      { family: "ip", table: "filter", chain: "FORWARD", rules: [rule("a"), rule("b")], at: "first" },
      { family: "ip", table: "filter", chain: "FORWARD", rules: [rule("y"), rule("z")] },
    ]);
    t.strictSame(iptables(host, "ip", "-S FORWARD").match(/-i \w+/g), ["-i a", "-i b", "-i old0", "-i y", "-i z"]);
  }
});

t.test("a rule that is not known is left alone, and hides none", needsRoot, async (t) => {
  const host = newHost(t, { containers: 0 });
  const netfilter = netfilterOf(host);
  iptables(host, "ip", "-A FORWARD -m limit --limit 1/s -j ACCEPT");
  iptables(host, "ip", "-A FORWARD -p tcp --tcp-flags SYN SYN -j ACCEPT");
  const wanted = { family: "ip", table: "filter", chain: "FORWARD", rules: [{ target: "ACCEPT" }] } as const;
  ensureRules(netfilter, [wanted]);
  ensureRules(netfilter, [wanted]);
  t.equal(iptables(host, "ip", "-S FORWARD").match(/-j ACCEPT/g)?.length, 3);
  t.strictSame(parseRuleLine("-j ACCEPT"), ["-j ACCEPT"]);
});

const writer = `
import { ensureRules } from "./pkg/firewall/iptables/nft-variant.ts";
import { connect, NETLINK_NETFILTER } from "./pkg/netlink/connection.ts";
const netfilter = connect(NETLINK_NETFILTER);
const [name, count] = process.argv.slice(1);
for (let i = 0; i < Number(count); i++) {
  const rule = { inInterface: name + i, target: "ACCEPT" };
  for (let twice = 0; twice < 2; twice++) ensureRules(netfilter, [{ family: "ip", table: "filter", chain: "FORWARD", rules: [rule] }]);
}`;

t.test("four writers and loops of iptables at once lose no rule and make none twice", needsRoot, async (t) => {
  const host = newHost(t, { containers: 0 });
  iptables(host, "ip", "-P FORWARD DROP");
  const each = 40;
  const ours = ["a", "b", "c", "d"].map((name) => startedScript(host, writer, name, String(each)));
  const loops = [
    `for i in $(seq ${each}); do iptables -w -A FORWARD -i e$i -j ACCEPT || exit 1; done`,
    `for i in $(seq ${each}); do printf '*filter\\n-A FORWARD -i f%s -j ACCEPT\\nCOMMIT\\n' $i | iptables-restore -w --noflush || exit 1; done`,
    `for i in $(seq ${each}); do iptables -w -I FORWARD 1 -i g$i -j ACCEPT && iptables -w -D FORWARD -i g$i -j ACCEPT || exit 1; done`,
    `for i in $(seq ${each}); do iptables-save >/dev/null || exit 1; done`,
  ].map((script) => started(host, "sh", "-c", script));
  t.strictSame(await Promise.all([...ours, ...loops]), new Array(8).fill(0));
  const rules = iptables(host, "ip", "-S FORWARD").trim().split("\n");
  t.equal(rules[0], "-P FORWARD DROP");
  const names = rules.slice(1).map((rule) => rule.split(" ")[3]);
  t.equal(new Set(names).size, 6 * each, "each is there");
  t.equal(names.length, 6 * each, "once");
});
