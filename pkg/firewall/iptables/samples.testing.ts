/** Rules for tests: each with the words by which `iptables -S` prints it. */

import { type Prefix, parsePrefix } from "../../ip/address.ts";
import type { Family } from "../family.ts";
import type { TableName } from "./base-chain.ts";
import type { Rule } from "./rule.ts";
import { destinationPorts, dnatTo, LOCAL_ADDRESS, RANDOM_FULLY, sctpDestination, statesOf } from "./xtables.ts";

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

const comment = 'name: "podnet" id: "3f2a"';
/** The rules, in the filter table of IPv4 unless given. Jumps lead to CNI-abc. */
export const samples: { family?: Family; table?: TableName; rule: Rule; words: string }[] = [
  { rule: { target: "RETURN" }, words: "-j RETURN" },
  {
    rule: { source: prefix("10.1.2.3/32"), matches: [{ name: "comment", text: comment }], target: { jump: "CNI-abc" } },
    words: '-s 10.1.2.3/32 -m comment --comment "name: \\"podnet\\" id: \\"3f2a\\"" -j CNI-abc',
  },
  { rule: { source: prefix("10.1.2.3/8"), target: "ACCEPT" }, words: "-s 10.0.0.0/8 -j ACCEPT" },
  { rule: { source: prefix("0.0.0.0/0"), target: "ACCEPT" }, words: "-j ACCEPT" },
  {
    table: "nat",
    rule: {
      source: prefix("10.244.0.0/16"),
      destination: { not: prefix("10.244.3.0/24") },
      matches: [{ name: "comment", text: "flanneld masq" }],
      target: { name: "MASQUERADE", flags: RANDOM_FULLY },
    },
    words: '-s 10.244.0.0/16 ! -d 10.244.3.0/24 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully',
  },
  {
    table: "nat",
    family: "ip6",
    rule: { destination: { not: prefix("ff00::/8") }, target: { name: "MASQUERADE" } },
    words: "! -d ff00::/8 -j MASQUERADE",
  },
  {
    family: "ip6",
    rule: { source: prefix("2001:db8::2/128"), target: { goto: "CNI-abc" } },
    words: "-s 2001:db8::2/128 -g CNI-abc",
  },
  { rule: { inInterface: "eth+", outInterface: { not: "br0" }, target: "DROP" }, words: "-i eth+ ! -o br0 -j DROP" },
  {
    rule: {
      protocol: 17,
      matches: [{ name: "udp", sources: [53, 53], destinations: [1024, 65535], inverted: 2 }],
      target: "ACCEPT",
    },
    words: "-p udp -m udp --sport 53 ! --dport 1024:65535 -j ACCEPT",
  },
  {
    rule: { protocol: 132, matches: [sctpDestination(3868)], target: "ACCEPT" },
    words: "-p sctp -m sctp --dport 3868 -j ACCEPT",
  },
  {
    rule: {
      protocol: 6,
      matches: [{ name: "comment", text: "dnat" }, destinationPorts([80, 443])],
      target: { jump: "CNI-abc" },
    },
    words: "-p tcp -m comment --comment dnat -m multiport --dports 80,443 -j CNI-abc",
  },
  {
    rule: { matches: [{ name: "addrtype", destinations: LOCAL_ADDRESS }], target: { jump: "CNI-abc" } },
    words: "-m addrtype --dst-type LOCAL -j CNI-abc",
  },
  {
    table: "nat",
    rule: { matches: [{ name: "mark", value: 0x2000, mask: 0x2000 }], target: { name: "MASQUERADE" } },
    words: "-m mark --mark 0x2000/0x2000 -j MASQUERADE",
  },
  {
    table: "mangle",
    rule: { matches: [{ name: "comment", text: "x y" }], target: { name: "MARK", value: 0x2000, mask: 0x2000 } },
    words: '-m comment --comment "x y" -j MARK --set-xmark 0x2000/0x2000',
  },
  {
    table: "nat",
    rule: {
      protocol: 6,
      matches: [{ name: "tcp", destinations: [8080, 8080] }],
      target: dnatTo(Uint8Array.of(10, 1, 2, 3), 80),
    },
    words: "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80",
  },
  {
    table: "nat",
    family: "ip6",
    rule: { protocol: 6, matches: [{ name: "tcp" }], target: dnatTo(prefix("2001:db8::2/128").address, 80) },
    words: "-p tcp -m tcp -j DNAT --to-destination [2001:db8::2]:80",
  },
  {
    rule: {
      matches: [{ name: "conntrack", states: statesOf("INVALID", "NEW"), inverted: 1 }],
      target: "DROP",
    },
    words: "-m conntrack ! --ctstate INVALID,NEW -j DROP",
  },
];
