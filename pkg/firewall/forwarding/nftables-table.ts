// The table of the firewall plugin in nftables, one for all networks. Containers and bridges are elements of its sets; its rules never
// change. nftables-table.nft is an example, and e2e/firewall/nft-tables.test.ts compares what nft loads from it with what is made here.
//
// An accept ends the evaluation of this table alone: another table can still drop the packet. So the last four rules only matter when the
// administrator gives chain `forward` the policy drop.
//
// Rejected: rules for each container and bridge, as iptables has them: each packet would be compared with one rule after the other.

import { concat } from "../../bytes/concat.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import { NF_INET_FORWARD, NF_IP_PRI_FILTER } from "../../netlink/nftables/chain.ts";
import { NF_DROP, NFT_REG_1, NFT_REG_2 } from "../../netlink/nftables/data.ts";
import { NFT_CMP_EQ, NFT_CMP_NEQ } from "../../netlink/nftables/expression/cmp.ts";
import { NF_CT_STATE_ESTABLISHED, NF_CT_STATE_RELATED, NFT_CT_STATE } from "../../netlink/nftables/expression/ct.ts";
import { NFT_META_IIFNAME, NFT_META_NFPROTO, NFT_META_OIFNAME } from "../../netlink/nftables/expression/meta.ts";
import { NFT_PAYLOAD_NETWORK_HEADER } from "../../netlink/nftables/expression/payload.ts";
import type { ExpressionRequest } from "../../netlink/nftables/expression.ts";
import { NFPROTO_INET } from "../../netlink/nftables/header.ts";
import { TYPE_IFNAME, TYPE_IP6ADDR, TYPE_IPADDR } from "../../netlink/nftables/set.ts";
import { IFNAMSIZ } from "../../netlink/rtnetlink/link/name.ts";
import { hostIsLittle } from "../../netlink/wire.ts";
import { ADDRESS_LENGTH, ADDRESS_OFFSETS, FAMILIES, type Family, nfproto } from "../family.ts";
import { compare, loadMeta, lookUp } from "../nftables/match.ts";
import {
  type ChainRef,
  chainOf,
  commentOf,
  deleteRule,
  findRules,
  type Hook,
  handleOf,
  listChains,
  newChain,
  newRule,
  newTable,
} from "../nftables/ruleset.ts";
import { interfaceKey, newSet, type SetRef } from "../nftables/set.ts";
import { template } from "../nftables/template.ts";
import { ACCEPT, DROP, jumpTo, RETURN } from "../nftables/verdict.ts";

export const TABLE = { family: NFPROTO_INET, table: "twill_firewall" };
const TABLE_COMMENT = "Containers that are let through and bridges that are kept apart, by twill's firewall plugin";
export const CONTAINERS: Readonly<Record<Family, SetRef>> = {
  ip: { ...TABLE, set: "containers4" },
  ip6: { ...TABLE, set: "containers6" },
};
export const BRIDGES: SetRef = { ...TABLE, set: "bridges" };
export const OPEN_BRIDGES: SetRef = { ...TABLE, set: "open_bridges" };
const FORWARD: ChainRef = { ...TABLE, chain: "forward" };
const ISOLATION: ChainRef = { ...TABLE, chain: "isolation" };
const HOOK: Hook = { number: NF_INET_FORWARD, priority: NF_IP_PRI_FILTER, type: "filter" };

/** Returns the key for traffic from the bridge to itself. */
export const withinKey = (bridge: string): Uint8Array => concat([interfaceKey(bridge), interfaceKey(bridge)]);

const newSets = (): Request[] => [
  newSet(CONTAINERS.ip, { key: [[TYPE_IPADDR, 4]], comment: "containers that are let through" }),
  newSet(CONTAINERS.ip6, { key: [[TYPE_IP6ADDR, 16]], comment: "containers that are let through" }),
  newSet(BRIDGES, {
    key: [[TYPE_IFNAME, IFNAMSIZ]],
    comment: "bridges with an ingress policy: nothing passes between them",
  }),
  newSet(OPEN_BRIDGES, {
    key: [
      [TYPE_IFNAME, IFNAMSIZ],
      [TYPE_IFNAME, IFNAMSIZ],
    ],
    comment: "those of them whose containers talk to each other",
  }),
];

// --- Rules -------------------------------------------------------------------------------------------------------------------------------

/** A rule that the table always has, recognized by its comment. */
interface FixedRule {
  chain: ChainRef;
  comment: string;
  expressions: Uint8Array;
}

const BETWEEN_BRIDGES = template([
  loadMeta(NFT_META_IIFNAME),
  lookUp(BRIDGES),
  loadMeta(NFT_META_OIFNAME),
  lookUp(BRIDGES),
]).bytes;

const WITHIN_OPEN_BRIDGE = template([
  loadMeta(NFT_META_IIFNAME),
  loadMeta(NFT_META_OIFNAME, NFT_REG_2),
  lookUp(OPEN_BRIDGES),
]).bytes;

const stateBits = new Uint8Array(4);
new DataView(stateBits.buffer).setUint32(0, NF_CT_STATE_ESTABLISHED | NF_CT_STATE_RELATED, hostIsLittle);
const isAnswer: ExpressionRequest[] = [
  { name: "ct", data: { key: NFT_CT_STATE, destination: NFT_REG_1 } },
  {
    name: "bitwise",
    data: {
      source: NFT_REG_1,
      destination: NFT_REG_1,
      length: 4,
      mask: { value: stateBits },
      xor: { value: new Uint8Array(4) },
    },
  },
  compare(NFT_CMP_NEQ, new Uint8Array(4)),
];

function isContainer(family: Family, field: "source" | "destination"): ExpressionRequest[] {
  const { [field]: offset } = ADDRESS_OFFSETS[family];
  const length = ADDRESS_LENGTH[family];
  return [
    loadMeta(NFT_META_NFPROTO),
    compare(NFT_CMP_EQ, Uint8Array.of(nfproto[family])),
    { name: "payload", data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset, length } },
    lookUp(CONTAINERS[family]),
  ];
}

const FIXED_RULES: readonly FixedRule[] = [
  { chain: ISOLATION, comment: "within a bridge that is open", expressions: concat([WITHIN_OPEN_BRIDGE, RETURN]) },
  { chain: ISOLATION, comment: "all else between bridges with a policy", expressions: DROP },
  {
    chain: FORWARD,
    comment: "between bridges with a policy",
    expressions: concat([BETWEEN_BRIDGES, jumpTo(ISOLATION.chain)]),
  },
  ...FAMILIES.map((family) => ({
    chain: FORWARD,
    comment: `answers to containers, ${family}`,
    expressions: concat([template([...isContainer(family, "destination"), ...isAnswer]).bytes, ACCEPT]),
  })),
  ...FAMILIES.map((family) => ({
    chain: FORWARD,
    comment: `from containers, ${family}`,
    expressions: concat([template(isContainer(family, "source")).bytes, ACCEPT]),
  })),
];

/** The beginning of the comment of the jump to the administrator's chain, whose name follows. */
const TO_ADMIN = "admin overrides: ";

const isFixed = (body: Uint8Array): boolean =>
  FIXED_RULES.some(({ chain, comment }) => chain.chain === chainOf(body) && comment === commentOf(body));

/** Returns the administrator's chain to which a rule of the table jumps; undefined for another rule. */
function adminChainOf(body: Uint8Array): string | undefined {
  if (chainOf(body) !== FORWARD.chain) return undefined;
  const comment = commentOf(body);
  return comment.startsWith(TO_ADMIN) ? comment.slice(TO_ADMIN.length) : undefined;
}

/** Reports whether twill made the rule: all others in the table are the administrator's, with a comment or without. */
const isOwnRule = (body: Uint8Array): boolean => isFixed(body) || adminChainOf(body) !== undefined;

/** Reports whether somebody has put something of his own into the table: a rule, a chain, or the policy drop. */
export function hasOthersContent(netfilter: Connection): boolean {
  const rules = findRules(netfilter, TABLE);
  const own = [FORWARD.chain, ISOLATION.chain, ...rules.flatMap((body) => adminChainOf(body) ?? [])];
  const chains = listChains(netfilter, TABLE.family).filter(({ table }) => table === TABLE.table);
  return !rules.every(isOwnRule) || chains.some(({ name = "", policy }) => !own.includes(name) || policy === NF_DROP);
}

/** The rules that the table has now. */
export interface ForwardingTable {
  /** Bodies of NFT_MSG_NEWRULE. */
  rules: readonly Uint8Array[];
}

export const readTable = (netfilter: Connection): ForwardingTable => ({
  rules: findRules(netfilter, TABLE),
});

/** Returns the first fixed rule that is missing; undefined when there is none. */
export function missingFixedRule({ rules }: ForwardingTable): { chain: string; comment: string } | undefined {
  const there = new Set(rules.map((body) => `${chainOf(body)} ${commentOf(body)}`));
  const missing = FIXED_RULES.find(({ chain, comment }) => !there.has(`${chain.chain} ${comment}`));
  return missing && { chain: missing.chain.chain, comment: missing.comment };
}

const leadsTo = ({ rules }: ForwardingTable, adminChain: string): boolean =>
  rules.some((body) => chainOf(body) === FORWARD.chain && commentOf(body) === TO_ADMIN + adminChain);

/** Reports whether chain `forward` jumps to the administrator's chain. */
export const jumpsToAdminChain = leadsTo;

/**
 * Returns the requests for the missing parts of the table. The jump to the administrator's chain comes first, else its rules could not
 * override anything.
 */
export function tableRequests(table: ForwardingTable, adminChain: string): Request[] {
  const isComplete = missingFixedRule(table) === undefined;
  if (isComplete && leadsTo(table, adminChain)) return [];
  const admin = { ...TABLE, chain: adminChain };
  return [
    newTable(TABLE, { comment: TABLE_COMMENT }),
    ...newSets(),
    newChain(admin, { comment: "your own rules" }),
    newChain(ISOLATION),
    newChain(FORWARD, { hook: HOOK }),
    ...(isComplete ? [] : replacement(table)),
    ...(leadsTo(table, adminChain)
      ? []
      : [
          newRule(FORWARD, {
            expressions: jumpTo(adminChain),
            comment: TO_ADMIN + adminChain,
            at: "first",
          }),
        ]),
  ];
}

/** Deletes the fixed rules that are there and adds all of them again, in their order. */
function replacement({ rules }: ForwardingTable): Request[] {
  return [
    ...rules.filter(isFixed).map((body) => deleteRule({ ...TABLE, chain: chainOf(body) }, handleOf(body))),
    ...FIXED_RULES.map(({ chain, expressions, comment }) => newRule(chain, { expressions, comment })),
  ];
}
