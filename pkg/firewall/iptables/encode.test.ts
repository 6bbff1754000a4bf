import t from "tap";
import { concat } from "../../bytes/concat.ts";
import { decode } from "../../netlink/message.ts";
import { ruleMessage } from "../../netlink/nftables/rule.ts";
import type { Family } from "../family.ts";
import { canonicalRule, decodeRuleMessage, parseRuleLine, ruleWords, sameRule } from "./canonical.ts";
import { compatFor, encodeRule } from "./encode.ts";
import type { Rule } from "./rule.ts";
import { prefix, samples } from "./samples.testing.ts";
import { dnatTo, statesOf } from "./xtables.ts";

const bytesOf = (hex: string) =>
  Uint8Array.from(hex.replace(/<00\*(\d+)>/g, (_, n) => "00".repeat(Number(n))).match(/[0-9a-f]{2}/g) ?? [], (byte) =>
    Number.parseInt(byte, 16),
  );
const hexLines = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join("")
    .replace(/(.{8})/g, "$1\n");

/** The body of a message with these expressions, as the kernel sends it. */
function body(expressions: Uint8Array): Uint8Array {
  const length = 4 + expressions.length;
  return concat([Uint8Array.of(2, 0, 0, 0, length & 0xff, length >> 8, 4, 0x80), expressions]);
}

// Found in dumps of rules of these releases; iptables 1.8.2 to 1.8.13 find and delete each with -C and -D.
const golden: { command: string; family: Family; rule: Rule; wire: string }[] = [
  {
    command: "iptables -t nat -A X ! -d 224.0.0.0/4 -j MASQUERADE",
    family: "ip",
    rule: { destination: { not: prefix("224.0.0.0/4") }, target: { name: "MASQUERADE" } },
    wire: `
      340001800c0001007061796c6f616400240002800800010000000001080002000000000108000300000000100800040000000004
      440001800c0001006269747769736500340002800800010000000001080002000000000108000300000000040c00048008000100f00000000c0005800800010000000000
      2c00018008000100636d700020000280080001000000000108000200000000010c00038008000100e0000000
      2c0001800c000100636f756e746572001c0002800c00010000000000000000000c0002000000000000000000
      480001800b0001007461726765740000380002800f0001004d415351554552414445000008000200000000001c00030001 <00*23>`,
  },
  {
    command: "iptables -t nat -A X -m mark --mark 0x2000/0x2000 -j MASQUERADE",
    family: "ip",
    rule: { matches: [{ name: "mark", value: 0x2000, mask: 0x2000 }], target: { name: "MASQUERADE" } },
    wire: `
      3c0001800a0001006d617463680000002c000280090001006d61726b000000000800020000000001140003000020000000200000 <00*8>
      2c0001800c000100636f756e746572001c0002800c00010000000000000000000c0002000000000000000000
      480001800b0001007461726765740000380002800f0001004d415351554552414445000008000200000000001c00030001 <00*23>`,
  },
  {
    command: "iptables -t nat -A X -p tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80",
    family: "ip",
    rule: {
      protocol: 6,
      matches: [{ name: "tcp", destinations: [8080, 8080] }],
      target: dnatTo(Uint8Array.of(10, 1, 2, 3), 80),
    },
    wire: `
      24000180090001006d657461000000001400028008000200000000100800010000000001
      2c00018008000100636d700020000280080001000000000108000200000000000c0003800500010006000000
      380001800a0001006d617463680000002800028008000100746370000800020000000000140003000000ffff901f901f <00*8>
      2c0001800c000100636f756e746572001c0002800c00010000000000000000000c0002000000000000000000
      5c0001800b00010074617267657400004c00028009000100444e415400000000080002000000000234000300030000000a010203 <00*12>
      0a010203 <00*12> 0050005000000000 00000000`,
  },
  {
    command: "iptables -A X -d 10.1.2.3/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    family: "ip",
    rule: {
      destination: prefix("10.1.2.3/32"),
      matches: [{ name: "conntrack", states: statesOf("RELATED", "ESTABLISHED") }],
      target: "ACCEPT",
    },
    wire: `
      340001800c0001007061796c6f616400240002800800010000000001080002000000000108000300000000100800040000000004
      2c00018008000100636d700020000280080001000000000108000200000000000c000380080001000a010203
      d80001800a0001006d61746368000000c80002800e000100636f6e6e747261636b0000000800020000000003ac0003 <00*147> 0100000006 <00*17>
      2c0001800c000100636f756e746572001c0002800c00010000000000000000000c0002000000000000000000
      300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000001`,
  },
  {
    command: "iptables -A X -i cni0 ! -o cni0 -j DROP",
    family: "ip",
    rule: { inInterface: "cni0", outInterface: { not: "cni0" }, target: "DROP" },
    wire: `
      24000180090001006d657461000000001400028008000200000000060800010000000001
      3000018008000100636d700024000280080001000000000108000200000000001000038009000100636e693000000000
      24000180090001006d657461000000001400028008000200000000070800010000000001
      3000018008000100636d700024000280080001000000000108000200000000011000038009000100636e693000000000
      2c0001800c000100636f756e746572001c0002800c00010000000000000000000c0002000000000000000000
      300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000000`,
  },
];

for (const { command, family, rule, wire } of golden) {
  t.test(`encodeRule: ${command}`, (t) => {
    t.equal(hexLines(encodeRule(family, rule)), hexLines(bytesOf(wire)));
    t.end();
  });
}

t.test("the compat attribute tells the protocol, and whether it is negated", (t) => {
  const of = (protocol: Rule["protocol"]) =>
    Array.from(compatFor({ ...(protocol !== undefined && { protocol }), target: "DROP" })).join(" ");
  t.equal(of(undefined), "8 0 1 0 0 0 0 0 8 0 2 0 0 0 0 0");
  t.equal(of(6), "8 0 1 0 0 0 0 6 8 0 2 0 0 0 0 0");
  t.equal(of({ not: 17 }), "8 0 1 0 0 0 0 17 8 0 2 0 0 0 0 2");
  t.end();
});

for (const { family = "ip", rule, words } of samples) {
  t.test(`${family}: ${words}`, (t) => {
    t.equal(ruleWords(family, rule).join(" "), words);
    t.strictSame(parseRuleLine(words), canonicalRule(family, rule), "from the line");
    const read = decodeRuleMessage(family, decode(ruleMessage, body(encodeRule(family, rule))));
    t.strictSame(read, canonicalRule(family, rule), "from the bytes");
    t.end();
  });
}

t.test("what is not known equals nothing, not even itself", (t) => {
  const rule = { family: 2, version: 0, resource: 0, expressions: [{ name: "quota" as const }] };
  t.equal(decodeRuleMessage("ip", rule as never), undefined);
  t.notOk(sameRule(undefined, undefined));
  t.end();
});

t.test("too long names are refused", (t) => {
  t.throws(() => encodeRule("ip", { inInterface: "x".repeat(16), target: "DROP" }));
  t.throws(() => encodeRule("ip", { target: { jump: "x".repeat(29) } }));
  t.throws(() => encodeRule("ip", { matches: [{ name: "comment", text: "x".repeat(256) }], target: "DROP" }));
  t.end();
});
