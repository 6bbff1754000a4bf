// What rules mean for a packet where real packets cannot show it: IPv6, expressions that are not known, sets that cannot be read.
import t from "tap";
import { decode, encode } from "../../netlink/message.ts";
import { NF_ACCEPT, NF_DROP, NFT_REG_1, NFT_REG_VERDICT } from "../../netlink/nftables/data.ts";
import { NFT_SET_ELEM_CATCHALL } from "../../netlink/nftables/element.ts";
import { NFT_CMP_EQ } from "../../netlink/nftables/expression/cmp.ts";
import { NF_CT_STATE_UNTRACKED, NFT_CT_STATE } from "../../netlink/nftables/expression/ct.ts";
import { NFT_LOOKUP_F_INV } from "../../netlink/nftables/expression/lookup.ts";
import {
  NFT_META_IIF,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_NFPROTO,
} from "../../netlink/nftables/expression/meta.ts";
import { NFT_PAYLOAD_NETWORK_HEADER } from "../../netlink/nftables/expression/payload.ts";
import { type ExpressionRequest, expressions } from "../../netlink/nftables/expression.ts";
import { hostIsLittle } from "../../netlink/wire.ts";
import { evaluateRule, type FindSet } from "./nftables-rule.ts";
import type { Packet } from "./packet.ts";
import type { EvaluatedRule } from "./traversal.ts";

const source = Uint8Array.of(0xfd, 0, 0, 0x0a, ...new Array(11).fill(0), 2);
const packet: Packet = {
  family: "ip6",
  inInterface: { name: "eth0", index: 2 },
  source,
  destination: Uint8Array.of(0xfd, 0, 0, 0x0a, ...new Array(11).fill(0), 1),
  destinationPort: 8472,
  state: NF_CT_STATE_UNTRACKED,
};

const number = (value: number) => (hostIsLittle ? Uint8Array.of(value, 0, 0, 0) : Uint8Array.of(0, 0, 0, value));
const meta = (key: number): ExpressionRequest => ({ name: "meta", data: { key, destination: NFT_REG_1 } });
const isEqual = (value: Uint8Array): ExpressionRequest => ({
  name: "cmp",
  data: { source: NFT_REG_1, operator: NFT_CMP_EQ, data: { value } },
});
const sourceOfIPv6: ExpressionRequest = {
  name: "payload",
  data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 8, length: 16 },
};
const verdict = (code: number): ExpressionRequest => ({
  name: "immediate",
  data: { destination: NFT_REG_VERDICT, data: { verdict: { code } } },
});
const lookup = (set: string, more: object = {}): ExpressionRequest => ({
  name: "lookup",
  data: { set, source: NFT_REG_1, ...more },
});

const sets: FindSet = (name) =>
  name === "marks"
    ? {
        set: { family: 1, keyLength: 4, flags: 0 } as NonNullable<ReturnType<FindSet>>["set"],
        elements: [
          { key: { value: number(7) }, data: { verdict: { code: NF_ACCEPT } } },
          { flags: NFT_SET_ELEM_CATCHALL, data: { verdict: { code: NF_DROP } } },
        ],
      }
    : undefined;

const rows: { title: string; rule: ExpressionRequest[]; is: EvaluatedRule[] }[] = [
  {
    title: "the IPv6 source",
    rule: [sourceOfIPv6, isEqual(source), verdict(NF_ACCEPT)],
    is: [{ matches: "yes", action: "accept" }],
  },
  {
    title: "IPv4",
    rule: [meta(NFT_META_NFPROTO), isEqual(Uint8Array.of(2))],
    is: [{ matches: "no", action: "continue" }],
  },
  {
    title: "the interface by its index",
    rule: [meta(NFT_META_IIF), isEqual(number(2))],
    is: [{ matches: "yes", action: "continue" }],
  },
  {
    title: "a state",
    rule: [
      { name: "ct", data: { key: NFT_CT_STATE, destination: NFT_REG_1 } },
      isEqual(number(NF_CT_STATE_UNTRACKED)),
      verdict(NF_DROP),
    ],
    is: [{ matches: "yes", action: "drop" }],
  },
  {
    title: "a queue, whose program decides",
    rule: [{ name: "queue" }],
    is: [{ matches: "unknown", action: "unknown" }],
  },
  {
    title: "what an unknown expression may have loaded",
    rule: [meta(NFT_META_IIF), { name: "socket" }, isEqual(number(3)), verdict(NF_ACCEPT)],
    is: [{ matches: "unknown", action: "accept" }],
  },
  {
    title: "a set that cannot be read",
    rule: [meta(NFT_META_IIF), lookup("gone"), verdict(NF_ACCEPT)],
    is: [{ matches: "unknown", action: "accept" }],
  },
  {
    title: "not in a set, of an unknown key",
    rule: [meta(NFT_META_MARK), lookup("marks", { flags: NFT_LOOKUP_F_INV }), verdict(NF_ACCEPT)],
    is: [{ matches: "unknown", action: "accept" }],
  },
  {
    title: "a verdict map, of an unknown key",
    rule: [meta(NFT_META_MARK), lookup("marks", { destination: NFT_REG_VERDICT })],
    is: [
      { matches: "unknown", action: "accept" },
      { matches: "unknown", action: "drop" },
    ],
  },
  {
    title: "a verdict map, of a key that only the last element has",
    rule: [meta(NFT_META_IIF), lookup("marks", { destination: NFT_REG_VERDICT })],
    is: [{ matches: "yes", action: "drop" }],
  },
];
const ofHeader = (offset: number): ExpressionRequest => ({
  name: "payload",
  data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset, length: 1 },
});
for (const [title, family, load] of [
  ["by meta", "ip", meta(NFT_META_L4PROTO)],
  ["by the header of IPv4", "ip", ofHeader(9)],
  ["by the header of IPv6", "ip6", ofHeader(6)],
] as const) {
  t.test(`the protocol is known of a packet with a port, and of any traffic it is not: ${title}`, async (t) => {
    const rule = decode(expressions, encode(expressions, [load, isEqual(Uint8Array.of(6)), verdict(NF_ACCEPT)]));
    t.match(evaluateRule(rule, { ...packet, family }, sets), [{ matches: "no" }]);
    const any = { ...packet, family, destinationPort: undefined };
    t.strictSame(evaluateRule(rule, any, sets), [{ matches: "unknown", action: "accept" }]);
  });
}

for (const { title, rule, is } of rows) {
  t.test(title, async (t) => {
    t.strictSame(evaluateRule(decode(expressions, encode(expressions, rule)), packet, sets), is);
  });
}
