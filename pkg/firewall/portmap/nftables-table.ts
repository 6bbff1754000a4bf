// The table of port mappings in nftables: maps, in which a packet's container is found in one step however many there are.
// nftables-table.nft is an example, and e2e/firewall/nft-tables.test.ts compares what nft loads from it with what is made here.
//
// The chain that no rule jumps to is the attachment's record (attachment-record.ts), which tells DEL what to delete: DEL needs neither the
// ports in its configuration nor a search. Its rules have no verdict, since for each change of one the kernel validates all chains of the
// table.
//
// Only packets that one of the maps translated have the mark from the lookup to the masquerade, and not those that reach the same container
// in another way. That is why it is set before the maps and cleared behind them: `dnat` ends the chain.
//
// Rejected:
// - the reference plugin's form, a rule for each mapping in table cni_hostport. The longer a chain, the longer it takes to add a rule
//   (0.1 ms with 1,000 rules, 1.3 ms with 10,000) and to find one by its comment. Its DEL would find such rules, though, and does not find
//   these elements; docs/plugins/portmap.md says what it leaves when a node goes back to it.
// - a set for each attachment as its record: the kernel finds a set by walking through all of the table, so an ADD beside 5,000 took three
//   times as long.
// - a verdict map to a chain for each container: with each change the kernel walks through all chains that such a map jumps to.
// - the reference plugin's table. Each of its ADDs flushes its chains, and an administrator who goes back to it can delete twill's table.
// - its priority: with a later one, its mappings and kube-proxy's come first, as they do with its own rules.

import { concat } from "../../bytes/concat.ts";
import { type Prefix, parsePrefix } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import {
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_NAT_DST,
  NF_IP_PRI_NAT_SRC,
} from "../../netlink/nftables/chain.ts";
import { NF_DROP, NFT_REG_1, NFT_REG_2, NFT_REG32_01, NFT_REG32_02 } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ, NFT_CMP_NEQ } from "../../netlink/nftables/expression/cmp.ts";
import { NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR } from "../../netlink/nftables/expression/fib.ts";
import { NFT_LOOKUP_F_INV } from "../../netlink/nftables/expression/lookup.ts";
import { NFT_META_L4PROTO, NFT_META_MARK } from "../../netlink/nftables/expression/meta.ts";
import { NFT_NAT_DNAT } from "../../netlink/nftables/expression/nat.ts";
import { NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER } from "../../netlink/nftables/expression/payload.ts";
import type { ExpressionRequest } from "../../netlink/nftables/expression.ts";
import { TYPE_INET_PROTOCOL, TYPE_INET_SERVICE, TYPE_IP6ADDR, TYPE_IPADDR } from "../../netlink/nftables/set.ts";
import { hostIsLittle } from "../../netlink/wire.ts";
import { ADDRESS_LENGTH, ADDRESS_OFFSETS, type Family, nfproto } from "../family.ts";
import { compare, encodeAddress } from "../nftables/match.ts";
import {
  type ChainRef,
  chainOf,
  commentOf,
  findRules,
  flushChain,
  listChains,
  newChain,
  newRule,
  newTable,
} from "../nftables/ruleset.ts";
import { type FieldTypes, newSet, type SetRef } from "../nftables/set.ts";
import { fill, hole, template } from "../nftables/template.ts";
import { goTo, jumpTo, RETURN } from "../nftables/verdict.ts";

/** The sets and chains in the table of a family. */
export interface PortmapTable {
  family: Family;
  tableRef: { family: number; table: string };
  hostports: SetRef;
  hostipHostports: SetRef;
  hairpin: SetRef;
  masqueradeAll: SetRef;
  conditional: ChainRef;
}

const TABLE = "twill_hostport";
const TABLE_COMMENT = "Ports of the host that lead to containers, by twill's portmap plugin";
/** The beginning of the names of records. */
export const RECORD = "hostports-";

function tableOf(family: Family): PortmapTable {
  const table = { family: nfproto[family], table: TABLE };
  return {
    family,
    tableRef: table,
    hostports: { ...table, set: "hostports" },
    hostipHostports: { ...table, set: "hostip_hostports" },
    hairpin: { ...table, set: "hairpin" },
    masqueradeAll: { ...table, set: "masquerade_all" },
    conditional: { ...table, chain: "conditional" },
  };
}
export const TABLES: Readonly<Record<Family, PortmapTable>> = { ip: tableOf("ip"), ip6: tableOf("ip6") };

// --- Sets --------------------------------------------------------------------------------------------------------------------------------

const ADDRESS: Readonly<Record<Family, readonly [number, number]>> = { ip: [TYPE_IPADDR, 4], ip6: [TYPE_IP6ADDR, 16] };
const PROTOCOL = [TYPE_INET_PROTOCOL, 1] as const;
const PORT = [TYPE_INET_SERVICE, 2] as const;

/** Returns the fields of the key for a port at one address of the host. */
const hostPortFields = (family: Family): FieldTypes => [ADDRESS[family], PROTOCOL, PORT];

function newSets({ family, hostports, hostipHostports, hairpin, masqueradeAll }: PortmapTable): Request[] {
  const data = [ADDRESS[family], PORT];
  return [
    newSet(hostports, { key: [PROTOCOL, PORT], data }),
    newSet(hostipHostports, { key: hostPortFields(family), data }),
    newSet(hairpin, {
      key: [ADDRESS[family]],
      comment: "containers that reach themselves and the host's loopback by host ports",
    }),
    newSet(masqueradeAll, { key: [ADDRESS[family]], comment: "containers that see no foreign source by host ports" }),
  ];
}

// --- Rules -------------------------------------------------------------------------------------------------------------------------------

const PREROUTING = "prerouting";
const OUTPUT = "output";
const LOOKUP = "lookup";
const MASQUERADING = "masquerading";

/** Returns the chains whose rules are always the same, except for one rule for each network. */
export const tableChains = ({ tableRef }: PortmapTable): ChainRef[] =>
  [LOOKUP, PREROUTING, OUTPUT, MASQUERADING].map((chain) => ({ ...tableRef, chain }));

/** The priority: after the chains of the reference plugin and of kube-proxy. */
const PRIORITY = NF_IP_PRI_NAT_DST + 1;

/** Returns the requests that create the table. Rules in these chains are replaced; elements of its sets stay. */
export function createTable(table: PortmapTable, mark: number): Request[] {
  const { family, tableRef } = table;
  const place = (chain: string): ChainRef => ({ ...tableRef, chain });
  const nat = (number: number, priority: number) => ({ hook: { number, priority, type: "nat" } });
  const { lookup, masquerading } = rulesFor(mark, family);
  const fill = (chain: string, rules: readonly Uint8Array[]): Request[] => [
    flushChain(place(chain)),
    ...rules.map((expressions, i) =>
      newRule(place(chain), { expressions, ...(i === 0 && { comment: markComment(mark) }) }),
    ),
  ];
  return [
    newTable(tableRef, { comment: TABLE_COMMENT }),
    ...newSets(table),
    newChain(table.conditional),
    newChain(place(LOOKUP)),
    newChain(place(PREROUTING), nat(NF_INET_PRE_ROUTING, PRIORITY)),
    newChain(place(OUTPUT), nat(NF_INET_LOCAL_OUT, PRIORITY)),
    newChain(place(MASQUERADING), nat(NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC)),
    ...fill(LOOKUP, lookup),
    ...fill(PREROUTING, [TO_LOOKUP]),
    ...fill(OUTPUT, [TO_LOOKUP]),
    ...fill(MASQUERADING, masquerading),
  ];
}

/** Returns the comment that names the mark's bit, by which `isComplete` sees whether a chain was made for this mark. */
const markComment = (mark: number): string => `mark 0x${mark.toString(16)}`;

/** The number of rules in each chain, without those of networks. */
const RULE_COUNTS: Readonly<Record<string, number>> = { [LOOKUP]: 5, [PREROUTING]: 1, [OUTPUT]: 1 };

/** Reports whether the table has all fixed rules. @param rules The rules of `tableChains`, from `findRules`. */
export function isComplete(rules: readonly Uint8Array[], mark: number): boolean {
  const marked = (chain: string) =>
    rules.some((rule) => chainOf(rule) === chain && commentOf(rule) === markComment(mark));
  const counted = Object.entries(RULE_COUNTS).every(
    ([chain, count]) => rules.filter((rule) => chainOf(rule) === chain).length === count,
  );
  return counted && [LOOKUP, PREROUTING, OUTPUT, MASQUERADING].every(marked);
}

/**
 * Reports whether the table has more than what it always has: an attachment's record or rule, or a rule or chain of the administrator's. Of
 * the rules that are always there only the first in a chain has a comment, so they are counted.
 */
export function isInUse(netfilter: Connection, { family, tableRef, conditional }: PortmapTable): boolean {
  const fixed: Readonly<Record<string, number>> = {
    ...RULE_COUNTS,
    [MASQUERADING]: rulesFor(0, family).masquerading.length,
    [conditional.chain]: 0,
  };
  const chains = listChains(netfilter, tableRef.family).filter(({ table }) => table === tableRef.table);
  const counts = new Map<string, number>();
  for (const rule of findRules(netfilter, tableRef)) {
    const chain = chainOf(rule);
    const isOfNetwork = chain === MASQUERADING && commentOf(rule).startsWith(WITHIN);
    if (!isOfNetwork) counts.set(chain, (counts.get(chain) ?? 0) + 1);
  }
  return (
    chains.some(({ name = "", policy }) => !Object.hasOwn(fixed, name) || policy === NF_DROP) ||
    [...counts].some(([chain, count]) => count > (fixed[chain] ?? 0))
  );
}

/** Masquerades packets from the container's own network: the container would reply to the client directly, from the wrong address. */
export function newNetworkMasquerade({ tableRef }: PortmapTable, network: string): Request {
  const prefix = parsePrefix(network) as Prefix; // as `formatPrefix` wrote it
  const expressions = concat([encodeAddress("source", prefix), encodeAddress("destination", prefix), MASQUERADE]);
  return newRule({ ...tableRef, chain: MASQUERADING }, { expressions, comment: WITHIN + network });
}
const WITHIN = "within ";

/** Returns the networks that have such a rule. */
export const masqueradedNetworks = (rules: readonly Uint8Array[]): string[] =>
  rules
    .filter((rule) => chainOf(rule) === MASQUERADING)
    .map(commentOf)
    .filter((comment) => comment.startsWith(WITHIN))
    .map((comment) => comment.slice(WITHIN.length));

const MASQUERADE = template([{ name: "masq", data: {} }]).bytes;

/** `fib daddr type local goto lookup` */
const TO_LOOKUP = concat([
  template([
    { name: "fib", data: { flags: NFTA_FIB_F_DADDR, result: NFT_FIB_RESULT_ADDRTYPE, destination: NFT_REG_1 } },
    compare(NFT_CMP_EQ, hostNumber(2)), // RTN_LOCAL of linux/rtnetlink.h
  ]).bytes,
  goTo(LOOKUP),
]);

/** Returns a number in host byte order, as meta and fib load it into registers. */
function hostNumber(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, hostIsLittle);
  return bytes;
}

const loadMark: ExpressionRequest = { name: "meta", data: { key: NFT_META_MARK, destination: NFT_REG_1 } };

const maskMark = (mask: Uint8Array, xor: Uint8Array): ExpressionRequest => ({
  name: "bitwise",
  data: { source: NFT_REG_1, destination: NFT_REG_1, length: 4, mask: { value: mask }, xor: { value: xor } },
});

const setMark: ExpressionRequest = { name: "meta", data: { key: NFT_META_MARK, source: NFT_REG_1 } };

const [maskHole, xorHole] = [hole(4), hole(4)];
/** `meta mark set meta mark & … ^ …` */
const CHANGE_MARK = template([loadMark, maskMark(maskHole, xorHole), setMark], maskHole, xorHole);
/** `meta mark & … != …` */
const [bitHole, valueHole] = [hole(4), hole(4)];
const UNLESS_MARK = template(
  [loadMark, maskMark(bitHole, hostNumber(0)), compare(NFT_CMP_NEQ, valueHole)],
  bitHole,
  valueHole,
);

const loadDestination = (family: Family): ExpressionRequest => ({
  name: "payload",
  data: {
    destination: NFT_REG_1,
    base: NFT_PAYLOAD_NETWORK_HEADER,
    offset: ADDRESS_OFFSETS[family].destination,
    length: ADDRESS_LENGTH[family],
  },
});

/** Loads the protocol into one register and the destination port into the next. */
const loadPort = (register: number, next: number): ExpressionRequest[] => [
  { name: "meta", data: { key: NFT_META_L4PROTO, destination: register } },
  {
    name: "payload",
    data: { destination: next, base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 },
  },
];

/** Looks up the key in a map and translates to the value, which is loaded from the first register on: the address, then the port. */
const dnatBy = (family: Family, { set }: SetRef): ExpressionRequest[] => [
  { name: "lookup", data: { source: NFT_REG_1, set, destination: NFT_REG_1 } },
  { name: "nat", data: dnatTo(family, family === "ip" ? NFT_REG32_01 : NFT_REG_2) },
];

export const dnatTo = (family: Family, portRegister: number) => ({
  type: NFT_NAT_DNAT,
  family: nfproto[family],
  addressMin: NFT_REG_1,
  portMin: portRegister,
});

const hasDestination = (family: Family, { set }: SetRef, flags?: number): ExpressionRequest[] => [
  loadDestination(family),
  { name: "lookup", data: { source: NFT_REG_1, set, ...(flags !== undefined && { flags }) } },
];

interface FixedRules {
  byAddress: Uint8Array;
  byPort: Uint8Array;
  masqueradeAll: Uint8Array;
  unlessHairpin: Uint8Array;
}

/**
 * Returns the rules that do not depend on the mark. The fields of a concatenation are in registers of 4 bytes; an IPv6 address takes four.
 */
function fixedRules({ family, hostports, hostipHostports, hairpin, masqueradeAll }: PortmapTable): FixedRules {
  const afterAddress = family === "ip" ? [NFT_REG32_01, NFT_REG32_02] : [NFT_REG_2, NFT_REG32_05];
  const [protocol = 0, port = 0] = afterAddress;
  return {
    byAddress: template([loadDestination(family), ...loadPort(protocol, port), ...dnatBy(family, hostipHostports)])
      .bytes,
    byPort: template([...loadPort(NFT_REG_1, NFT_REG32_01), ...dnatBy(family, hostports)]).bytes,
    masqueradeAll: concat([template(hasDestination(family, masqueradeAll)).bytes, MASQUERADE]),
    unlessHairpin: concat([template(hasDestination(family, hairpin, NFT_LOOKUP_F_INV)).bytes, RETURN]),
  };
}
/** The register behind NFT_REG_2, which is NFT_REG32_04. */
const NFT_REG32_05 = 13;

const FIXED: Readonly<Record<Family, FixedRules>> = { ip: fixedRules(TABLES.ip), ip6: fixedRules(TABLES.ip6) };

/** The masquerade of packets from the host's loopback. Not in IPv6: the kernel does not accept the replies. */
const FROM_LOOPBACK: Readonly<Record<Family, readonly Uint8Array[]>> = {
  ip: [concat([encodeAddress("source", { address: Uint8Array.of(127, 0, 0, 0), length: 8 }), MASQUERADE])],
  ip6: [],
};

function rulesFor(mark: number, family: Family): { lookup: Uint8Array[]; masquerading: Uint8Array[] } {
  const { byAddress, byPort, masqueradeAll, unlessHairpin } = FIXED[family];
  const [bit, rest, none] = [hostNumber(mark), hostNumber(~mark), hostNumber(0)];
  return {
    lookup: [fill(CHANGE_MARK, rest, bit), jumpTo("conditional"), byAddress, byPort, fill(CHANGE_MARK, rest, none)],
    masquerading: [
      concat([fill(UNLESS_MARK, bit, bit), RETURN]),
      masqueradeAll,
      unlessHairpin,
      ...FROM_LOOPBACK[family],
    ],
  };
}
