// The table that opens holes between ports of a bridge that are isolated from each other, for links of a network with enable_icc=false, a table
// for each such network. The kernel drops what passes between two isolated ports before any rule sees it. So the port of a link's target is not
// isolated, and here all of what passes between it and another port is dropped, but for the holes. link-table.nft is an example, and
// e2e/firewall/nft-tables.test.ts compares what nft loads from it with what is made here.
//
// The rules are stateless, as connection tracking of bridges is a module that many kernels lack: a target may also send from the port to the
// client of its own accord, as with Docker's rules. What a target sends that has another port, such as ICMP errors, is dropped.
//
// Rejected: a set for all networks. A table is replaced as a whole, whoever made it, and one that belongs to another set of records, as in a
// container with the host's network, stays as it is.

import { concat } from "../../bytes/concat.ts";
import { hex } from "../../bytes/hex.ts";
import { type Address, formatAddress, isIPv4 } from "../../ip/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import { NF_BR_PRI_FILTER_BRIDGED, NF_INET_FORWARD } from "../../netlink/nftables/chain.ts";
import { NFT_REG_1, NFT_REG_2, NFT_REG_3, NFT_REG32_09 } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ, NFT_CMP_NEQ } from "../../netlink/nftables/expression/cmp.ts";
import {
  NFT_META_IIFNAME,
  NFT_META_L4PROTO,
  NFT_META_OIFNAME,
  NFT_META_PROTOCOL,
} from "../../netlink/nftables/expression/meta.ts";
import {
  NFT_PAYLOAD_LL_HEADER,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
} from "../../netlink/nftables/expression/payload.ts";
import type { ExpressionRequest } from "../../netlink/nftables/expression.ts";
import { NFPROTO_BRIDGE } from "../../netlink/nftables/header.ts";
import {
  TYPE_IFNAME,
  TYPE_INET_PROTOCOL,
  TYPE_INET_SERVICE,
  TYPE_IP6ADDR,
  TYPE_IPADDR,
} from "../../netlink/nftables/set.ts";
import { IFNAMSIZ } from "../../netlink/rtnetlink/link/name.ts";
import { decode } from "../../sys/text.ts";
import { ADDRESS_LENGTH, ADDRESS_OFFSETS, FAMILIES, type Family, familyOf } from "../family.ts";
import { type KernelErrorContext, withKernelErrors } from "../kernel-error.ts";
import { compare, loadMeta, lookUp } from "../nftables/match.ts";
import {
  type ChainRef,
  chainOf,
  commentOf,
  deleteTable,
  findRules,
  findTable,
  type Hook,
  listTables,
  newChain,
  newRule,
  newTable,
} from "../nftables/ruleset.ts";
import { addElements, type FieldTypes, interfaceKey, listElements, newSet } from "../nftables/set.ts";
import { fill, hole, template } from "../nftables/template.ts";
import { edit } from "../nftables/transaction.ts";
import { ACCEPT, DROP, goTo } from "../nftables/verdict.ts";

/** A port that one container reaches of another. */
export interface LinkHole {
  /** Names of the bridge's ports, the host's ends of the veth pairs. */
  client: string;
  target: string;
  /** IPPROTO_* */
  protocol: number;
  port: number;
}

/** What passes between the ports of a bridge for links. */
export interface LinkHoles {
  holes: readonly LinkHole[];
  /** The addresses of each port's container. */
  addresses: readonly { port: string; address: Address }[];
  /** Ports that no container has, and that were never isolated: they reach all others. */
  openPorts: readonly string[];
}

const PREFIX = "twill_links_";
const TABLE_COMMENT = "Holes between isolated containers, for their links, by twill network";

const tableOf = (network: string) => ({ family: NFPROTO_BRIDGE, table: `${PREFIX}${network}` });

const HOOK: Hook = { number: NF_INET_FORWARD, priority: NF_BR_PRI_FILTER_BRIDGED, type: "filter" };
const FORWARD = "forward";
const BETWEEN_PORTS = "between_ports";

// --- Sets --------------------------------------------------------------------------------------------------------------------------------

const NAME = [TYPE_IFNAME, IFNAMSIZ] as const;

/** The sets in their order, with the fields of their keys. */
const SETS = {
  targets: { key: [NAME], comment: "ports that are not isolated, since others are linked to them" },
  open_ports: { key: [NAME], comment: "ports of no container, that were never isolated" },
  addresses4: { key: [NAME, [TYPE_IPADDR, ADDRESS_LENGTH.ip]], comment: "what each port sends from" },
  addresses6: { key: [NAME, [TYPE_IP6ADDR, ADDRESS_LENGTH.ip6]], comment: "what each port sends from" },
  pairs: { key: [NAME, NAME], comment: "client and target, both ways" },
  holes: {
    key: [NAME, NAME, [TYPE_INET_PROTOCOL, 1], [TYPE_INET_SERVICE, 2]],
    comment: "client, target, and a port of the target",
  },
} satisfies Readonly<Record<string, { key: FieldTypes; comment: string }>>;
type SetName = keyof typeof SETS;
const setNames = Object.keys(SETS) as SetName[];

const addressSet = (family: Family) => (family === "ip" ? "addresses4" : "addresses6");

/** Returns the keys of each set. */
function keysOf({ holes, addresses, openPorts }: LinkHoles): Record<SetName, Uint8Array[]> {
  const pairs = holes.flatMap(({ client, target }) => [
    [client, target],
    [target, client],
  ]);
  const ofFamily = (family: Family) =>
    addresses
      .filter(({ address }) => familyOf(address) === family)
      .map(({ port, address }) => concat([interfaceKey(port), address]));
  return {
    targets: distinct(holes.map(({ target }) => interfaceKey(target))),
    open_ports: distinct(openPorts.map(interfaceKey)),
    addresses4: distinct(ofFamily("ip")),
    addresses6: distinct(ofFamily("ip6")),
    pairs: distinct(pairs.map((names) => concat(names.map(interfaceKey)))),
    holes: distinct(holes.map(holeKey)),
  };
}

const holeKey = ({ client, target, protocol, port }: LinkHole): Uint8Array =>
  concat([
    interfaceKey(client),
    interfaceKey(target),
    Uint8Array.of(protocol, 0, 0, 0),
    Uint8Array.of(port >> 8, port & 0xff, 0, 0),
  ]);

const distinct = (keys: readonly Uint8Array[]): Uint8Array[] => [
  ...new Map(keys.map((key) => [hex(key), key])).values(),
];

// --- Rules -------------------------------------------------------------------------------------------------------------------------------

const isInSet = (set: SetName): ExpressionRequest => lookUp({ set });
const loadPayload = (base: number, offset: number, length: number, destination = NFT_REG_1): ExpressionRequest => ({
  name: "payload",
  data: { destination, base, offset, length },
});
const isNonZero = (mask: Uint8Array): ExpressionRequest[] => [
  {
    name: "bitwise",
    data: {
      source: NFT_REG_1,
      destination: NFT_REG_1,
      length: mask.length,
      mask: { value: mask },
      xor: { value: new Uint8Array(mask.length) },
    },
  },
  compare(NFT_CMP_NEQ, new Uint8Array(mask.length)),
];

const ETHER_TYPES: Readonly<Record<Family | "arp", Uint8Array>> = {
  ip: Uint8Array.of(0x08, 0x00),
  ip6: Uint8Array.of(0x86, 0xdd),
  arp: Uint8Array.of(0x08, 0x06),
};
const isOfFamily = (family: Family): ExpressionRequest[] => [
  loadMeta(NFT_META_PROTOCOL),
  compare(NFT_CMP_EQ, ETHER_TYPES[family]),
];
/** As nft does it for ARP and ICMPv6. */
const hasEtherType = (type: "ip6" | "arp"): ExpressionRequest[] => [
  loadPayload(NFT_PAYLOAD_LL_HEADER, 12, 2),
  compare(NFT_CMP_EQ, ETHER_TYPES[type]),
];

/** `iifname . ip saddr @addresses4`: the address is the container's at that port. */
function isOwnAddress(family: Family, field: "source" | "destination"): ExpressionRequest[] {
  return [
    loadMeta(field === "source" ? NFT_META_IIFNAME : NFT_META_OIFNAME),
    loadPayload(NFT_PAYLOAD_NETWORK_HEADER, ADDRESS_OFFSETS[family][field], ADDRESS_LENGTH[family], NFT_REG_2),
    isInSet(addressSet(family)),
  ];
}
const areOwnAddresses = (family: Family): ExpressionRequest[] => [
  ...isOfFamily(family),
  ...isOwnAddress(family, "source"),
  ...isOwnAddress(family, "destination"),
];

/** `iifname . oifname @pairs` */
const isPair: readonly ExpressionRequest[] = [
  loadMeta(NFT_META_IIFNAME),
  loadMeta(NFT_META_OIFNAME, NFT_REG_2),
  isInSet("pairs"),
];

/** The source port is at offset 0, the destination port at 2: of TCP, UDP and SCTP. */
function isHole(client: number, target: number, portOffset: number): ExpressionRequest[] {
  return [
    loadMeta(client),
    loadMeta(target, NFT_REG_2),
    loadMeta(NFT_META_L4PROTO, NFT_REG_3),
    loadPayload(NFT_PAYLOAD_TRANSPORT_HEADER, portOffset, 2, NFT_REG32_09),
    isInSet("holes"),
  ];
}

/**
 * Later fragments have no port. Alone they are of no use, since the first one, which has it, was dropped. Of IPv6, those whose fragment header is the first extension
 * header, as Linux sends them.
 */
const isLaterFragment: Readonly<Record<Family, readonly ExpressionRequest[]>> = {
  ip: [loadPayload(NFT_PAYLOAD_NETWORK_HEADER, 6, 2), ...isNonZero(Uint8Array.of(0x1f, 0xff))],
  ip6: [
    loadPayload(NFT_PAYLOAD_NETWORK_HEADER, 6, 1),
    compare(NFT_CMP_EQ, Uint8Array.of(44)), // IPPROTO_FRAGMENT of linux/in6.h
    loadPayload(NFT_PAYLOAD_NETWORK_HEADER, 42, 2),
    ...isNonZero(Uint8Array.of(0xff, 0xf8)),
  ],
};

const IPPROTO_ICMPV6 = 58;
/** RFC 4861: neighbour solicitation and advertisement. */
const [SOLICITATION, ADVERTISEMENT] = [135, 136];
const isIcmpv6 = (type: number): ExpressionRequest[] => [
  ...hasEtherType("ip6"),
  loadMeta(NFT_META_L4PROTO),
  compare(NFT_CMP_EQ, Uint8Array.of(IPPROTO_ICMPV6)),
  loadPayload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1),
  compare(NFT_CMP_EQ, Uint8Array.of(type)),
];

interface LinkRule {
  chain: string;
  expressions: Uint8Array;
  comment: string;
}

const accepting = (parts: readonly ExpressionRequest[], comment: string): LinkRule => ({
  chain: BETWEEN_PORTS,
  expressions: concat([template(parts).bytes, ACCEPT]),
  comment,
});

/** The rules before those for each address, and behind them. */
const RULES_BEFORE: readonly LinkRule[] = [
  accepting([loadMeta(NFT_META_IIFNAME), isInSet("open_ports")], "from a port that was never isolated"),
  accepting([loadMeta(NFT_META_OIFNAME), isInSet("open_ports")], "to a port that was never isolated"),
  ...FAMILIES.flatMap((family) => [
    accepting([...areOwnAddresses(family), ...isHole(NFT_META_IIFNAME, NFT_META_OIFNAME, 2)], `to a target, ${family}`),
    accepting(
      [...areOwnAddresses(family), ...isHole(NFT_META_OIFNAME, NFT_META_IIFNAME, 0)],
      `from a target, ${family}`,
    ),
    accepting([...areOwnAddresses(family), ...isPair, ...isLaterFragment[family]], `later fragments, ${family}`),
  ]),
  accepting(
    [
      ...isPair,
      ...hasEtherType("arp"),
      loadMeta(NFT_META_IIFNAME),
      loadPayload(NFT_PAYLOAD_NETWORK_HEADER, 14, ADDRESS_LENGTH.ip, NFT_REG_2), // the sender's
      isInSet("addresses4"),
    ],
    "ARP",
  ),
  accepting([...isPair, ...isIcmpv6(SOLICITATION), ...isOwnAddress("ip6", "source")], "neighbour solicitation"),
];
const RULES_BEHIND: readonly LinkRule[] = [
  { chain: BETWEEN_PORTS, expressions: DROP, comment: "all else" },
  ...(
    [
      [NFT_META_IIFNAME, "from a target's port"],
      [NFT_META_OIFNAME, "to a target's port"],
    ] as const
  ).map(([key, comment]) => ({
    chain: FORWARD,
    expressions: concat([template([loadMeta(key), isInSet("targets")]).bytes, goTo(BETWEEN_PORTS)]),
    comment,
  })),
];

const [nameHole, addressHole] = [hole(IFNAMSIZ), hole(ADDRESS_LENGTH.ip6)];
/** `… icmpv6 type nd-neighbor-advert iifname "veth1" @th,64,128 0xfd00…`: nft has no name for the address in it, and so no set that it could be in. */
const ADVERTISED = template(
  [
    ...isPair,
    ...isIcmpv6(ADVERTISEMENT),
    loadMeta(NFT_META_IIFNAME),
    compare(NFT_CMP_EQ, nameHole),
    loadPayload(NFT_PAYLOAD_TRANSPORT_HEADER, 8, ADDRESS_LENGTH.ip6),
    compare(NFT_CMP_EQ, addressHole),
  ],
  nameHole,
  addressHole,
);

function rulesFor({ addresses }: LinkHoles): LinkRule[] {
  const advertisements = addresses
    .filter(({ address }) => !isIPv4(address))
    .map(({ port, address }) => ({
      chain: BETWEEN_PORTS,
      expressions: concat([fill(ADVERTISED, interfaceKey(port), address), ACCEPT]),
      comment: `advertisement of ${formatAddress(address)} by ${port}`,
    }));
  return [...RULES_BEFORE, ...advertisements, ...RULES_BEHIND];
}

// --- Work --------------------------------------------------------------------------------------------------------------------------------

/**
 * Makes the table what is wanted: no holes, no table.
 *
 * @throws CniError 999: the kernel refuses
 */
export function placeLinkHoles(netfilter: Connection, network: string, wanted: LinkHoles): void {
  withKernelErrors(refusal(network), () =>
    edit(netfilter, () => ({ requests: requestsFor(netfilter, network, wanted) })),
  );
}

function requestsFor(netfilter: Connection, network: string, wanted: LinkHoles): Request[] {
  const table = tableOf(network);
  const isThere = hasLinkTable(netfilter, network);
  if (wanted.holes.length === 0) return isThere ? [deleteTable(table)] : [];
  if (isThere && findDifference(netfilter, network, wanted) === undefined) return [];
  const place = (chain: string): ChainRef => ({ ...table, chain });
  const keys = keysOf(wanted);
  return [
    ...(isThere ? [deleteTable(table)] : []),
    newTable(table, { comment: TABLE_COMMENT }),
    ...setNames.map((set) => newSet({ ...table, set }, SETS[set])),
    ...setNames.flatMap((set) =>
      addElements(
        { ...table, set },
        keys[set].map((key) => ({ key })),
      ),
    ),
    newChain(place(BETWEEN_PORTS)),
    newChain(place(FORWARD), { hook: HOOK }),
    ...rulesFor(wanted).map(({ chain, ...rule }) => newRule(place(chain), rule)),
  ];
}

/** Reports whether the table of a network is there. */
export const hasLinkTable = (netfilter: Connection, network: string): boolean =>
  findTable(netfilter, tableOf(network)) !== undefined;

/** Returns what the table lacks, or has too much; undefined when it is as wanted. */
export function findLinkDifference(netfilter: Connection, network: string, wanted: LinkHoles): string | undefined {
  const { table } = tableOf(network);
  const isThere = hasLinkTable(netfilter, network);
  if (wanted.holes.length === 0) return isThere ? `table bridge ${table} is there, and no link needs it` : undefined;
  return isThere ? findDifference(netfilter, network, wanted) : `table bridge ${table} is missing`;
}

function findDifference(netfilter: Connection, network: string, wanted: LinkHoles): string | undefined {
  const table = tableOf(network);
  const rules = (list: readonly { chain: string; comment: string }[]) =>
    [BETWEEN_PORTS, FORWARD]
      .flatMap((name) => list.filter(({ chain }) => chain === name))
      .map(({ chain, comment }) => `${chain}: ${comment}`);
  const there = rules(findRules(netfilter, table).map((body) => ({ chain: chainOf(body), comment: commentOf(body) })));
  if (there.join("\n") !== rules(rulesFor(wanted)).join("\n"))
    return `the rules of table bridge ${table.table} are not as they were made`;
  const keys = keysOf(wanted);
  const set = setNames.find((name) => !isSame(elementsIn(netfilter, network, name), keys[name]));
  return set && `set ${set} of table bridge ${table.table} is not as the records say`;
}

const elementsIn = (netfilter: Connection, network: string, set: SetName): Uint8Array[] =>
  (listElements(netfilter, { ...tableOf(network), set }) ?? []).flatMap(({ key }) => key?.value ?? []);

function isSame(one: readonly Uint8Array[], other: readonly Uint8Array[]): boolean {
  const [a, b] = [one, other].map((keys) => keys.map((key) => hex(key)).sort());
  return a?.join() === b?.join();
}

/** Returns the names of the ports that are targets in the table of a network as it is. */
export const targetsIn = (netfilter: Connection, network: string): string[] =>
  elementsIn(netfilter, network, "targets").map((key) => decode(key, 0, key.indexOf(0)));

/** Returns the table of a network, and whether one of these links is the port of a target in it. */
export const linkTableOf = (netfilter: Connection, network: string, hasLink: (name: string) => boolean) => ({
  table: tableOf(network),
  isUsed: () => targetsIn(netfilter, network).some(hasLink),
});

/** Returns the networks that have a table. */
export const networksWithLinkHoles = (netfilter: Connection): string[] =>
  listTables(netfilter, NFPROTO_BRIDGE)
    .map(({ name = "" }) => name)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => name.slice(PREFIX.length));

const refusal = (network: string): KernelErrorContext => ({
  msg: `network ${JSON.stringify(network)}: the kernel refuses the rules of links between its containers`,
  doing: "opening and closing their ports",
  remedy:
    "use a kernel with nf_tables for bridges (CONFIG_NF_TABLES_BRIDGE; modprobe nf_tables), or connect without --link",
});
