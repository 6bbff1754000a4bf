// The parity tests tested: they see no difference where there is none, and one where there is one.
import t from "tap";
import { needsRoot } from "../lab/needs.ts";
import { goBin } from "../lab/project.ts";
import { bridgeKeyRows } from "./bridge.rows.ts";
import { compare } from "./compare.ts";
import { play } from "./record.ts";
import { intended, type Row } from "./row.ts";

const dualMasqueraded = rowOf("ipMasq in both families with iptables");

t.test("Go against Go differs in nothing", needsRoot, async (t) => {
  for (const row of [dualMasqueraded, rowOf("ipMasq of two containers: one's DEL leaves the other's rules")]) {
    const [once, again] = [play(t, row, () => goBin), play(t, row, () => goBin)];
    t.ok(once.lines.length > 1000, "sees the state");
    t.strictSame(compare(once.lines, again.lines, []), { unexplained: [], unseen: [] }, row.name);
  }
});

t.test("one changed setting shows as one difference, and can be declared", needsRoot, async (t) => {
  const changed: Row = {
    ...dualMasqueraded,
    steps: ["ADD"],
    prepare: "ip link add br0 type bridge; echo 1 > /proc/sys/net/ipv4/conf/br0/proxy_arp",
  };
  const plain: Row = { ...changed, prepare: "ip link add br0 type bridge" };
  const [a, b] = [play(t, plain, () => goBin).lines, play(t, changed, () => goBin).lines];

  const line = "1 ADD: host sysctl ipv4/conf/br0/proxy_arp";
  t.strictSame(compare(a, b, []).unexplained, [`go: ${line} 0`, `ours: ${line} 1`]);
  t.strictSame(compare(a, b, [intended("x", { go: /proxy_arp 0/, ours: /proxy_arp 1/ })]), {
    unexplained: [],
    unseen: [],
  });
});

t.test("a rewritten line has to be equal in all else", async (t) => {
  const mode = intended("modes", { rewritten: [[/"0644 /, '"0600 ']] });
  t.strictSame(compare(['file a "0644 x"'], ['file a "0600 x"'], [mode]), { unexplained: [], unseen: [] });
  t.strictSame(compare(['file a "0644 x"'], ['file a "0600 y"'], [mode]), {
    unexplained: ['go: file a "0644 x"', 'ours: file a "0600 y"'],
    unseen: ['modes: nothing differs like /"0644 /'],
  });
});

t.test("a declared deviation that is not there is a failure", async (t) => {
  const deviation = intended("we say more", { ours: /more/ });
  t.strictSame(compare(["1 ADD: a"], ["1 ADD: a"], [deviation]).unseen, ["we say more: nothing differs like /more/"]);
});

function rowOf(claim: string): Row {
  const row = bridgeKeyRows.find(({ name }) => name === `bridge: ${claim}`);
  if (!row) throw new Error(`no row "${claim}"`);
  return row;
}
