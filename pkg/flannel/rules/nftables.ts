// Makes flannel's rules with nftables, in a table for each family. nftables.nft is an example, and e2e/firewall/nft-tables.test.ts compares
// what nft loads from it with what is made here. Both tables always exist, as with flannel; chains exist only for the families in use.

import { FAMILIES, type Family, familyOf, nfproto } from "../../firewall/family.ts";
import { type CanonicalRule, decodeRuleMessage } from "../../firewall/iptables/canonical.ts";
import {
  type ChainRef,
  chainOf,
  deleteChain,
  deleteRule,
  deleteTable,
  findRules,
  findTable,
  type Hook,
  handleOf,
  listChains,
  newChain,
  newRule,
  newTable,
} from "../../firewall/nftables/ruleset.ts";
import { edit } from "../../firewall/nftables/transaction.ts";
import { type Connection, type Request, request } from "../../netlink/connection.ts";
import { decode } from "../../netlink/message.ts";
import {
  type ChainMessage,
  chainMessage,
  NF_INET_FORWARD,
  NF_INET_POST_ROUTING,
  NF_IP_PRI_FILTER,
  NF_IP_PRI_NAT_SRC,
  NFT_MSG_NEWCHAIN,
} from "../../netlink/nftables/chain.ts";
import { NF_ACCEPT } from "../../netlink/nftables/data.ts";
import { ruleMessage } from "../../netlink/nftables/rule.ts";
import { NFT_MSG_NEWTABLE, NFT_TABLE_F_DORMANT, tableMessage } from "../../netlink/nftables/table.ts";
import { type Block, isCorrect, rulesOf, sorted } from "./chain-block.ts";
import { forwardBlock, markRule, masqueradeBlock, networksOf } from "./desired.ts";
import { encodeRule } from "./nftables-rule.ts";
import type { FamilyTraffic, TrafficConf } from "./settings.ts";

const TABLES: Readonly<Record<Family, Omit<ChainRef, "chain">>> = {
  ip: { family: nfproto.ip, table: "flannel-ipv4" },
  ip6: { family: nfproto.ip6, table: "flannel-ipv6" },
};

export interface OwnChain extends Block {
  chain: string;
  comment: string;
  hook: Hook;
}

const MASQUERADE = {
  chain: "postrtg",
  comment: "chain to manage traffic masquerading by flannel",
  hook: { number: NF_INET_POST_ROUTING, priority: NF_IP_PRI_NAT_SRC, type: "nat" },
} as const;
const FORWARD = {
  chain: "forward",
  comment: "chain to accept flannel traffic",
  hook: { number: NF_INET_FORWARD, priority: NF_IP_PRI_FILTER, type: "filter" },
} as const;

/** Returns the chains of a family's table; none when the family is not in use. */
export function nftablesChains(conf: TrafficConf, family: Family): OwnChain[] {
  const ofFamily = ({ network }: FamilyTraffic) => familyOf(network.address) === family;
  return conf.families
    .filter(ofFamily)
    .flatMap((traffic) => [
      ...(conf.masquerade ? [{ ...MASQUERADE, ...masqueradeBlock(conf, traffic) }] : []),
      ...(conf.forward ? [{ ...FORWARD, ...forwardBlock(conf, traffic) }] : []),
    ]);
}

// --- Making them right -------------------------------------------------------------------------------------------------------------------

/** Requests to send, and the number of chains (or tables without chains) that they change. */
interface Repair {
  requests: Request[];
  changed: number;
}

/** @returns how many chains had to be changed; a dormant table counts as one */
export function ensureNftables(netfilter: () => Connection, conf: TrafficConf): number {
  const connection = netfilter();
  const awoken = awakenTables(connection); // separately: the kernel refuses it together with new chains
  const { repairs } = edit(connection, () => {
    const repairs = FAMILIES.map((family) => applyRepair(connection, family, nftablesChains(conf, family)));
    return { requests: repairs.flatMap((repair) => repair.requests), repairs };
  });
  return repairs.reduce((sum, { changed }) => sum + changed, awoken);
}

/** Activates dormant tables, in which no rule of any program has an effect. @returns how many there were */
function awakenTables(netfilter: Connection): number {
  const isAsleep = (place: Omit<ChainRef, "chain">) => (findTable(netfilter, place)?.flags ?? 0) & NFT_TABLE_F_DORMANT;
  const plan = () => {
    const asleep = FAMILIES.map((family) => TABLES[family]).filter(isAsleep);
    return { requests: asleep.map(awaken) };
  };
  return edit(netfilter, plan, { bound: false }).requests.length;
}

/** Makes the request of `nft add table … { flags; }`: without NFT_TABLE_F_DORMANT. */
const awaken = ({ family, table }: Omit<ChainRef, "chain">): Request =>
  request({
    name: "NFT_MSG_NEWTABLE",
    type: NFT_MSG_NEWTABLE,
    table: tableMessage,
    value: { family, name: table, flags: 0 },
  });

function applyRepair(netfilter: Connection, family: Family, chains: readonly OwnChain[]): Repair {
  const place = TABLES[family];
  if (findTable(netfilter, place) !== undefined) return repairChains(netfilter, family, chains);
  const making = chains.flatMap((own) => made(place, own));
  return {
    requests: [newTable(place, { comment: `rules for ${place.table}` }), ...making],
    changed: Math.max(chains.length, 1),
  };
}

function repairChains(netfilter: Connection, family: Family, chains: readonly OwnChain[]): Repair {
  if (chains.length === 0) return { requests: [], changed: 0 };
  const place = TABLES[family];
  const there = listChains(netfilter, place.family);
  const rules = readRules(netfilter, family);
  const requests = chains.map((own): Request[] => {
    const at: ChainRef = { ...place, chain: own.chain };
    const chain = there.find(({ table, name }) => table === at.table && name === at.chain);
    if (chain === undefined) return made(place, own);
    if (!isHooked(chain, own)) return [deleteChain(at), ...made(place, own)]; // no program's rules have an effect there
    const found = rules.filter(({ chain }) => chain === own.chain);
    return [...(chain.policy === NF_ACCEPT ? [] : [accepting(at)]), ...refilled(at, found, own)];
  });
  return { requests: requests.flat(), changed: requests.filter(({ length }) => length > 0).length };
}

function made(place: Omit<ChainRef, "chain">, own: OwnChain): Request[] {
  const at: ChainRef = { ...place, chain: own.chain };
  return [newChain(at, own), ...added(at, own)];
}

/** Puts our rules before those of other networks, of which one may match everything. */
function refilled(at: ChainRef, found: readonly NativeRule[], own: OwnChain): Request[] {
  if (isCorrect(found, own)) return [];
  const wrong = sorted(found, own);
  return [...deletions(at, [...wrong.shared, ...wrong.own]), ...added(at, own)];
}

const added = (at: ChainRef, own: OwnChain): Request[] =>
  rulesOf(own)
    .map((rule) => newRule(at, { expressions: encodeRule(rule), at: "first" }))
    .reverse();

const deletions = (at: ChainRef, rules: readonly NativeRule[]): Request[] =>
  rules.map(({ handle }) => deleteRule(at, handle));

/** Reports whether a chain has flannel's hook, priority and type. */
const isHooked = ({ hook, type }: ChainMessage, own: OwnChain): boolean =>
  hook?.number === own.hook.number && hook.priority === own.hook.priority && type === own.hook.type;

/** Makes the request of `nft add chain … { policy accept; }`, so that packets that no rule matches are not dropped. */
const accepting = ({ family, table, chain: name }: ChainRef): Request =>
  request({
    name: "NFT_MSG_NEWCHAIN",
    type: NFT_MSG_NEWCHAIN,
    table: chainMessage,
    value: { family, table, name, policy: NF_ACCEPT },
  });

interface NativeRule {
  chain: string;
  handle: bigint;
  /** Also known for rules written by nft, which shortens comparisons. */
  canonicalForm: CanonicalRule | undefined;
}

/** Reads the rules of the family's table. */
const readRules = (netfilter: Connection, family: Family): NativeRule[] =>
  findRules(netfilter, TABLES[family]).map((body) => ({
    chain: chainOf(body),
    handle: handleOf(body),
    canonicalForm: decodeRuleMessage(family, decode(ruleMessage, body)),
  }));

// --- Deleting what is not wanted any more ------------------------------------------------------------------------------------------------

/** Deletes our rules that `conf` does not want, and chains and tables that have no other rules. */
export function cleanNftables(netfilter: Connection, conf: TrafficConf): void {
  const presentFamilies = () => FAMILIES.filter((family) => findTable(netfilter, TABLES[family]) !== undefined);
  if (presentFamilies().length === 0) return; // also on a kernel without nf_tables, which refuses all other requests
  edit(netfilter, () => ({ requests: unwanted(netfilter, presentFamilies(), conf) }));
}

/** Makes the requests. The empty table of an unused family is deleted only with the other one, since it too exists for all networks. */
function unwanted(netfilter: Connection, families: readonly Family[], conf: TrafficConf): Request[] {
  const chains = families.flatMap((family) => leftIn(netfilter, family, conf));
  if (conf.kind !== "nftables" && chains.every(({ others }) => others === 0))
    return families.map((family) => deleteTable(TABLES[family]));
  return chains
    .filter(({ isWanted }) => !isWanted)
    .flatMap(({ at, own, others }) => (others === 0 ? [deleteChain(at)] : deletions(at, own)));
}

/** The content of a chain of our tables. */
interface Left {
  at: ChainRef;
  isWanted: boolean;
  own: readonly NativeRule[];
  /** The number of other rules; another program's chain counts as one. */
  others: number;
}

function leftIn(netfilter: Connection, family: Family, conf: TrafficConf): Left[] {
  const place = TABLES[family];
  const names = listChains(netfilter, place.family).flatMap(({ table, name = "" }) =>
    table === place.table ? [name] : [],
  );
  const wanted = conf.kind === "nftables" ? nftablesChains(conf, family) : [];
  const rules = readRules(netfilter, family);
  const shared = [markRule({ ...conf, kind: "nftables" })];
  return names.map((name): Left => {
    const at: ChainRef = { ...place, chain: name };
    if (name !== MASQUERADE.chain && name !== FORWARD.chain) return { at, isWanted: false, own: [], others: 1 };
    const found = rules.filter(({ chain }) => chain === name);
    const { own, others } = sorted(found, { family, shared, networks: networksOf(conf, family) });
    return { at, isWanted: wanted.some(({ chain }) => chain === name), own, others: others.length };
  });
}
