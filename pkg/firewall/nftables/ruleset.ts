// The requests to nf_tables: `nft add table`, `nft add chain`, `nft add rule`, `nft delete …`, for a transaction (transaction.ts); and the reads.
import { type Connection, query, type Request, request } from "../../netlink/connection.ts";
import { attribute, decode, message } from "../../netlink/message.ts";
import {
  type ChainMessage,
  chainMessage,
  NFT_MSG_DELCHAIN,
  NFT_MSG_GETCHAIN,
  NFT_MSG_NEWCHAIN,
} from "../../netlink/nftables/chain.ts";
import { expressions as decodedExpressions } from "../../netlink/nftables/expression.ts";
import { NFT_MSG_DELRULE, NFT_MSG_GETRULE, NFT_MSG_NEWRULE, ruleMessage } from "../../netlink/nftables/rule.ts";
import {
  NFT_MSG_DELTABLE,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWTABLE,
  type TableMessage,
  tableMessage,
} from "../../netlink/nftables/table.ts";
import { ruleUserdata } from "../../netlink/nftables/userdata.ts";
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/nlmsg.ts";
import { attributeEnd, attributeType, bytes, Input, NLA_TYPE_MASK, nested, type Wire } from "../../netlink/wire.ts";
import { isErrno } from "../../sys/errno.ts";
import { decode as decodeText } from "../../sys/text.ts";
import { matcherFor, ReadRules, readOnce, type Wanted } from "./wanted-rule.ts";

/** A chain by name. */
export interface ChainRef {
  /** NFPROTO_IPV4 … */
  family: number;
  table: string;
  chain: string;
}

/** The hook of a base chain. */
export interface Hook {
  number: number;
  priority: number;
  /** "filter", "nat", "route" */
  type: string;
}

/** Creates a table; one that exists keeps its content. */
export function newTable({ family, table }: Omit<ChainRef, "chain">, { comment }: { comment?: string } = {}): Request {
  return request({
    name: "NFT_MSG_NEWTABLE",
    type: NFT_MSG_NEWTABLE,
    flags: NLM_F_CREATE,
    table: tableMessage,
    value: { family, name: table, userdata: commented(comment) },
  });
}

/** Deletes a table with its content. */
export function deleteTable({ family, table }: Omit<ChainRef, "chain">): Request {
  return request({
    name: "NFT_MSG_DELTABLE",
    type: NFT_MSG_DELTABLE,
    table: tableMessage,
    value: { family, name: table },
  });
}

/**
 * Creates a chain. It may exist already unless it is `exclusive`: the kernel refuses it with EEXIST then.
 *
 * No policy is sent: it would replace the one that the administrator set. A new base chain gets ACCEPT.
 */
export function newChain(
  { family, table, chain }: ChainRef,
  { hook, comment, exclusive = false }: { hook?: Hook | undefined; comment?: string; exclusive?: boolean } = {},
): Request {
  return request({
    name: "NFT_MSG_NEWCHAIN",
    type: NFT_MSG_NEWCHAIN,
    flags: NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0),
    table: chainMessage,
    value: {
      family,
      table,
      name: chain,
      ...(hook !== undefined && { hook: { number: hook.number, priority: hook.priority }, type: hook.type }),
      userdata: commented(comment),
    },
  });
}

/** Deletes a chain with its rules. The kernel refuses it with EBUSY while a rule jumps to the chain. */
export function deleteChain({ family, table, chain }: ChainRef): Request {
  return request({
    name: "NFT_MSG_DELCHAIN",
    type: NFT_MSG_DELCHAIN,
    table: chainMessage,
    value: { family, table, name: chain },
  });
}

export interface NewRule {
  /** The encoded expressions, as templates have them. */
  expressions: Uint8Array;
  /** The position: behind all other rules (the default), before all others, or before the rule with this handle. */
  at?: "first" | "last" | { before: bigint };
  /** The comment; it is in userdata, as with nft. */
  comment?: string;
  /** NFTA_RULE_COMPAT, from `compatFor`; for rules of iptables only. */
  compat?: Uint8Array;
}

export function newRule(
  { family, table, chain }: ChainRef,
  { expressions, at = "last", comment, compat }: NewRule,
): Request {
  return request({
    name: "NFT_MSG_NEWRULE",
    type: NFT_MSG_NEWRULE,
    flags: NLM_F_CREATE | (at === "last" ? NLM_F_APPEND : 0),
    table: encodedRule,
    value: {
      family,
      table,
      chain,
      ...(typeof at === "object" && { position: at.before }),
      expressions,
      compat,
      userdata: commented(comment),
    },
  });
}

export function deleteRule({ family, table, chain }: ChainRef, handle: bigint): Request {
  return request({
    name: "NFT_MSG_DELRULE",
    type: NFT_MSG_DELRULE,
    table: ruleMessage,
    value: { family, table, chain, handle },
  });
}

/** Deletes all rules of the chain. */
export function flushChain({ family, table, chain }: ChainRef): Request {
  return request({
    name: "NFT_MSG_DELRULE",
    type: NFT_MSG_DELRULE,
    table: ruleMessage,
    value: { family, table, chain },
  });
}

const commented = (comment: string | undefined) => (comment === undefined ? undefined : { comment });

/** The wire table of rule messages, for expressions that are encoded already. */
const encodedRule = message({
  source: ruleMessage.source,
  header: ruleMessage.header.fields,
  attributes: {
    ...ruleMessage.attributes,
    expressions: attribute(4, "NFTA_RULE_EXPRESSIONS", encoded(decodedExpressions)),
    compat: attribute(5, "NFTA_RULE_COMPAT", nested(bytes)),
  },
});

/** A field that is written as bytes, with which errors of the kernel can still be located at the attributes inside. */
function encoded({ locate }: Pick<Wire<unknown, never>, "locate">): Wire<Uint8Array> {
  return { ...nested(bytes), ...(locate !== undefined && { locate }) };
}

const getChain = ({ family, table, chain }: ChainRef) =>
  query({
    name: "NFT_MSG_GETCHAIN",
    type: NFT_MSG_GETCHAIN,
    table: chainMessage,
    value: { family, table, name: chain },
  });

/** Reports for each chain whether it exists, with one send. */
export function existing(netfilter: Connection, places: readonly ChainRef[]): boolean[] {
  return netfilter.attemptAll(places.map(getChain)).map((refusal) => {
    if (refusal !== undefined && !isErrno(refusal, ...NOT_THERE)) throw refusal;
    return refusal === undefined;
  });
}
/** The errors that mean "does not exist"; EOPNOTSUPP and EINVAL come from a kernel without nf_tables. */
export const NOT_THERE = ["ENOENT", "EOPNOTSUPP", "EINVAL"] as const;

/** Returns a table; undefined when there is none of that name. */
export function findTable(netfilter: Connection, { family, table }: Omit<ChainRef, "chain">): TableMessage | undefined {
  try {
    return netfilter.get(
      query({ name: "NFT_MSG_GETTABLE", type: NFT_MSG_GETTABLE, table: tableMessage, value: { family, name: table } }),
    );
  } catch (error) {
    if (isErrno(error, ...NOT_THERE)) return undefined;
    throw error;
  }
}

/** Returns all tables of a family; none from a kernel without nf_tables. */
export function listTables(netfilter: Connection, family: number): TableMessage[] {
  try {
    return netfilter.dump(
      query({ name: "NFT_MSG_GETTABLE", type: NFT_MSG_GETTABLE, table: tableMessage, value: { family } }),
    );
  } catch (error) {
    if (isErrno(error, ...NOT_THERE)) return [];
    throw error;
  }
}

/** Returns all chains of a family. */
export function listChains(netfilter: Connection, family: number): ChainMessage[] {
  return netfilter.dump(
    query({ name: "NFT_MSG_GETCHAIN", type: NFT_MSG_GETCHAIN, table: chainMessage, value: { family } }),
  );
}

/**
 * Returns the wanted rules of a chain, or of all chains of a table. Returns none when there is no such chain.
 *
 * @param wanted What the rule has to contain. This spares decoding, which is slow. By default all rules.
 * @returns Bodies of NFT_MSG_NEWRULE as the kernel sent them, for `ruleMessage`, `handleOf` and so on.
 */
export function findRules(netfilter: Connection, place: RulesPlace, wanted?: Wanted): Uint8Array[] {
  const { memory } = netfilter;
  return memory === undefined
    ? readRules(netfilter, place, wanted)
    : remembered(netfilter, memory, place).holding(wanted);
}

/** A chain, or a table with all its chains. */
type RulesPlace = Omit<ChainRef, "chain"> & { chain?: string };

/**
 * Returns the rules of a chain that have one of the keys, in their order; a `Draft` reads and groups them once.
 *
 * @param keysOf The keys of a rule, the same function each time.
 */
export function findRulesByKey<K>(
  netfilter: Connection,
  chain: ChainRef,
  keysOf: (body: Uint8Array) => readonly K[],
  keys: ReadonlySet<K>,
): Uint8Array[] {
  const { memory } = netfilter;
  if (memory !== undefined) return remembered(netfilter, memory, chain).havingKey(keysOf, keys);
  return readRules(netfilter, chain, undefined).filter((body) => keysOf(body).some((key) => keys.has(key)));
}

function readRules(
  netfilter: Connection,
  { family, table, chain }: RulesPlace,
  wanted: Wanted | undefined,
): Uint8Array[] {
  const value = { family, table, chain };
  const all = query({ name: "NFT_MSG_GETRULE", type: NFT_MSG_GETRULE, table: ruleMessage, value });
  try {
    return netfilter.dump({ ...all, answers: bodyIf(wanted) }).filter((body) => body !== undefined);
  } catch (error) {
    if (isErrno(error, ...NOT_THERE)) return [];
    throw error;
  }
}

/** Returns the rules as they were when they were first read through this connection. @param memory The connection's */
const remembered = (netfilter: Connection, memory: Map<string, unknown>, place: RulesPlace): ReadRules =>
  readOnce(memory, memoryKey(place), () => readRules(netfilter, place, undefined));

const memoryKey = ({ family, table, chain = "" }: RulesPlace): string => `rules ${family} ${table} ${chain}`;

/** Takes rules out of what was read through the connection, or forgets the chain when the request does anything but delete rules by handle. */
export function forgetRules(memory: Map<string, unknown>, { type, value }: Request): void {
  const { name, ...place } = value as RulesPlace & { name?: string; handle?: bigint };
  const chain = type === NFT_MSG_NEWCHAIN || type === NFT_MSG_DELCHAIN ? name : place.chain;
  for (const key of [memoryKey({ ...place, chain: chain ?? "" }), memoryKey({ ...place, chain: "" })]) {
    const known = memory.get(key);
    if (!(known instanceof ReadRules)) continue;
    if (type === NFT_MSG_DELRULE && place.handle !== undefined)
      known.remove(known.havingKey(handlesOf, [place.handle]));
    else memory.delete(key);
  }
}

const handlesOf = (body: Uint8Array): readonly bigint[] => [handleOf(body)];

function bodyIf(wanted: Wanted | undefined): Wire<Uint8Array | undefined, never> {
  const isWanted = matcherFor(wanted);
  return {
    write() {},
    read: ({ bytes }: Input, from: number, to: number) =>
      isWanted(bytes, from, to) ? bytes.slice(from, to) : undefined,
    text: () => "",
  };
}

/** The attributes of a rule that are read without decoding the rest. */
const RULE_CHAIN = ruleMessage.attributes.chain.type;
const RULE_HANDLE = ruleMessage.attributes.handle.type;
const RULE_EXPRESSIONS = ruleMessage.attributes.expressions.type;
const RULE_USERDATA = ruleMessage.attributes.userdata.type;

export const chainOf = (body: Uint8Array): string => {
  const name = attributeOf(body, RULE_CHAIN);
  return name === undefined ? "" : decodeText(name, 0, name.length - 1); // without NUL
};

export const handleOf = (body: Uint8Array): bigint => {
  const handle = attributeOf(body, RULE_HANDLE);
  return handle === undefined ? 0n : new DataView(handle.buffer, handle.byteOffset).getBigUint64(0);
};

/** Returns the rule's encoded expressions. */
export const expressionsOf = (body: Uint8Array): Uint8Array | undefined => attributeOf(body, RULE_EXPRESSIONS);

/** Returns the comment in a rule's userdata; "" when there is none. */
export const commentOf = (body: Uint8Array): string => {
  const data = attributeOf(body, RULE_USERDATA);
  return data === undefined ? "" : (decode(ruleUserdata, data).comment ?? "");
};

function attributeOf(body: Uint8Array, type: number): Uint8Array | undefined {
  const input = new Input(body);
  for (let at = NFGENMSG_SIZE; body.length - at >= 4; ) {
    const end = attributeEnd(input, at, body.length);
    if ((attributeType(input, at) & NLA_TYPE_MASK) === type) return body.subarray(at + 4, end);
    at = (end + 3) & ~3;
  }
  return undefined;
}
const NFGENMSG_SIZE = 4;
