// Whose a rule is, and when a block is in its place, on lines as iptables-save prints them.
import t from "tap";
import { parseRuleLine } from "../../firewall/iptables/canonical.ts";
import type { Rule } from "../../firewall/iptables/rule.ts";
import { type Prefix, parsePrefix } from "../../ip/address.ts";
import { belongsToNetwork, isCorrect, sorted } from "./chain-block.ts";

const prefix = (text: string) => parsePrefix(text) as Prefix;
const network = prefix("10.5.0.0/16");

for (const [line, expected] of Object.entries({
  "-s 10.5.34.0/24 -d 10.5.0.0/16 -j RETURN": true,
  "-s 10.5.0.0/16 -d 10.5.34.0/24 -j RETURN": true,
  "! -s 10.5.0.0/16 -d 10.5.34.0/24 -j RETURN": true,
  "! -s 10.5.34.0/24 -d 10.5.0.0/16 -j RETURN": true,
  "-s 10.5.0.0/16 -d 192.0.2.0/24 -j RETURN": true,
  "-s 10.5.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE": true,
  "! -s 10.5.0.0/16 -d 10.5.0.0/16 -j MASQUERADE": true,
  "-d 10.5.0.0/16 -j ACCEPT": true,
  "-s 10.6.0.0/16 -d 10.5.0.0/16 -j RETURN": false, // of 10.6.0.0/16, which is not masqueraded towards this one
  "-s 10.0.0.0/8 -d 10.5.0.0/16 -j RETURN": false,
  "-s 10.5.34.7/32 -j LOG": false,
  "! -d 10.5.0.0/16 -j LOG": false,
  "-m mark --mark 0x4000/0x4000 -j RETURN": false,
  "-j LOG": false,
}))
  t.test(`${expected ? "ours" : "not ours"}: ${line}`, async (t) => {
    t.equal(belongsToNetwork(network, parseRuleLine(line)), expected);
  });

t.test("a rule that holds something unknown is a stranger's", async (t) =>
  t.equal(belongsToNetwork(network, undefined), false),
);

const mark: Rule = { matches: [{ name: "mark", value: 1, mask: 1 }], target: "RETURN" };
const block = {
  family: "ip",
  shared: [mark],
  own: [
    { source: network, target: "ACCEPT" },
    { destination: network, target: "ACCEPT" },
  ],
  networks: [network, prefix("10.4.0.0/16")],
} as const;
const MARK = "-m mark --mark 0x1/0x1 -j RETURN";
const [FROM, TO] = ["-s 10.5.0.0/16 -j ACCEPT", "-d 10.5.0.0/16 -j ACCEPT"];
const [OTHER, LOG, EARLIER] = ["-s 10.6.0.0/16 -j ACCEPT", "-j LOG", "-s 10.4.0.0/16 -j ACCEPT"];
const found = (lines: readonly string[]) => lines.map((line) => ({ line, canonicalForm: parseRuleLine(line) }));

for (const [what, expected, lines] of [
  ["alone", true, [MARK, FROM, TO]],
  ["behind others", true, [LOG, MARK, OTHER, FROM, TO]],
  ["before others", true, [MARK, FROM, TO, OTHER, LOG]],
  ["empty", false, []],
  ["of others only", false, [MARK, OTHER]],
  ["incomplete", false, [MARK, FROM]],
  ["in another order", false, [MARK, TO, FROM]],
  ["twice", false, [MARK, FROM, TO, FROM, TO]],
  ["split", false, [MARK, FROM, LOG, TO]],
  ["without the mark", false, [FROM, TO]],
  ["before the mark", false, [FROM, TO, MARK]],
  ["with two marks", false, [MARK, OTHER, MARK, FROM, TO]],
  ["with an earlier network's", false, [MARK, FROM, TO, EARLIER]],
] as const)
  t.test(`a block ${what} is ${expected ? "" : "not "}in its place`, async (t) => {
    t.equal(isCorrect(found(lines), block), expected);
  });

t.test("rules are ours, everybody's, or others'", async (t) => {
  const sorts = sorted(found([LOG, MARK, OTHER, EARLIER, FROM, MARK]), block);
  t.match(sorts, {
    shared: [{ line: MARK }, { line: MARK }],
    own: [{ line: EARLIER }, { line: FROM }],
    others: [{ line: LOG }, { line: OTHER }],
  });
});
