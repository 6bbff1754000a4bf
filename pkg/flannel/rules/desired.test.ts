// The rules in the words of iptables-save: flannel's own, which others know by their text.
import t from "tap";
import { ruleWords } from "../../firewall/iptables/canonical.ts";
import { type Prefix, parsePrefix } from "../../ip/address.ts";
import { rulesOf } from "./chain-block.ts";
import { iptablesChains, jumpRule } from "./iptables.ts";
import { nftablesChains } from "./nftables.ts";
import { encodeRule } from "./nftables-rule.ts";
import type { TrafficConf } from "./settings.ts";

const prefix = (text: string) => parsePrefix(text) as Prefix;
const ipv4 = { network: prefix("10.5.0.0/16"), subnet: prefix("10.5.34.1/24") };
const ipv6 = { network: prefix("fd00:5::/48"), subnet: prefix("fd00:5:0:34::1/64") };

const conf = (different: Partial<TrafficConf> = {}): TrafficConf => ({
  kind: "iptables",
  families: [ipv4],
  earlierNetworks: [],
  masquerade: true,
  forward: true,
  randomFully: true,
  noMasquerade: [],
  ...different,
});

const masq = '-m comment --comment "flanneld masq"';
const fwd = '-m comment --comment "flanneld forward"';

const masquerade4 = [
  `nat POSTROUTING ${masq} -j FLANNEL-POSTRTG`,
  `nat FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${masq} -j RETURN`,
  `nat FLANNEL-POSTRTG -s 10.5.34.0/24 -d 10.5.0.0/16 ${masq} -j RETURN`,
  `nat FLANNEL-POSTRTG -s 10.5.0.0/16 -d 10.5.34.0/24 ${masq} -j RETURN`,
  `nat FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.34.0/24 ${masq} -j RETURN`,
  `nat FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d 224.0.0.0/4 ${masq} -j MASQUERADE --random-fully`,
  `nat FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.0.0/16 ${masq} -j MASQUERADE --random-fully`,
];
const forward4 = [
  `filter FORWARD ${fwd} -j FLANNEL-FWD`,
  `filter FLANNEL-FWD -s 10.5.0.0/16 ${fwd} -j ACCEPT`,
  `filter FLANNEL-FWD -d 10.5.0.0/16 ${fwd} -j ACCEPT`,
];
/** IPv6's are the same with other addresses. */
const asIPv6 = (lines: readonly string[]) =>
  lines.map((line) =>
    line
      .replaceAll("10.5.34.0/24", "fd00:5:0:34::/64")
      .replaceAll("10.5.0.0/16", "fd00:5::/48")
      .replace("224.0.0.0/4", "ff00::/8"),
  );

/** Chain by chain, the jump first. */
const iptablesLines = (of: TrafficConf) =>
  iptablesChains(of).flatMap((own) => [
    `${own.table} ${own.from} ${ruleWords(own.family, jumpRule(own)).join(" ")}`,
    ...rulesOf(own).map((rule) => `${own.table} ${own.chain} ${ruleWords(own.family, rule).join(" ")}`),
  ]);

const withoutRandom = (lines: readonly string[]) => lines.map((line) => line.replace(" --random-fully", ""));

const cases: { what: string; of: Partial<TrafficConf>; lines: readonly string[] }[] = [
  { what: "IPv4", of: {}, lines: [...masquerade4, ...forward4] },
  { what: "IPv6", of: { families: [ipv6] }, lines: asIPv6([...masquerade4, ...forward4]) },
  {
    what: "both families",
    of: { families: [ipv4, ipv6] },
    lines: [...masquerade4, ...forward4, ...asIPv6([...masquerade4, ...forward4])],
  },
  { what: "without masquerade", of: { masquerade: false }, lines: forward4 },
  { what: "without forward rules", of: { forward: false }, lines: masquerade4 },
  { what: "neither", of: { masquerade: false, forward: false }, lines: [] },
  {
    what: "without random ports",
    of: { randomFully: false, forward: false },
    lines: withoutRandom(masquerade4),
  },
  {
    what: "destinations that see containers' addresses, of the family",
    of: { forward: false, noMasquerade: [prefix("192.0.2.0/24"), prefix("2001:db8::/32"), prefix("198.51.100.7/32")] },
    lines: [
      ...masquerade4.slice(0, 5),
      `nat FLANNEL-POSTRTG -s 10.5.0.0/16 -d 192.0.2.0/24 ${masq} -j RETURN`,
      `nat FLANNEL-POSTRTG -s 10.5.0.0/16 -d 198.51.100.7/32 ${masq} -j RETURN`,
      ...masquerade4.slice(5),
    ],
  },
];
for (const { what, of, lines } of cases)
  t.test(`iptables: ${what}`, async (t) => t.strictSame(iptablesLines(conf(of)), lines));

t.test("nftables differs from iptables in the mark, in the fourth rule, and has no comments", async (t) => {
  const [postrtg, forward, ...others] = nftablesChains(conf({ kind: "nftables", families: [ipv4, ipv6] }), "ip");
  t.match(postrtg, { chain: "postrtg", hook: { number: 4, priority: 100, type: "nat" } });
  t.match(forward, { chain: "forward", hook: { number: 2, priority: 0, type: "filter" } });
  t.strictSame(others, []);
  const bare = (lines: readonly string[]) => lines.map((line) => line.replace(/ -m comment --comment "[^"]*"/, ""));
  t.strictSame(
    postrtg && rulesOf(postrtg).map((rule) => `nat FLANNEL-POSTRTG ${ruleWords("ip", rule).join(" ")}`),
    bare(masquerade4)
      .slice(1)
      .map((line) =>
        line
          .replace("0x4000/0x4000", "0x4000")
          .replace("! -s 10.5.0.0/16 -d 10.5.34.0/24", "! -s 10.5.34.0/24 -d 10.5.0.0/16"),
      ),
  );
});

t.test("nftables: a family that is not in use has no chains", async (t) => {
  t.strictSame(nftablesChains(conf({ kind: "nftables" }), "ip6"), []);
});

t.test("rules of nftables can say what ours do, and nothing else", async (t) => {
  t.throws(() => encodeRule({ target: "DROP" }), { message: 'no rule of ours ends with "DROP"' });
  t.throws(() => encodeRule({ matches: [{ name: "comment", text: "x" }], target: "ACCEPT" }), {
    message: "no rule of ours says -m comment",
  });
});
