// What is asked of nf_tables: `nft add table`, `nft add chain`, `nft add rule`, `nft delete …`, in one batch.
import { type Connection, query, type Request, request } from "../../netlink/connection.ts";
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/frame.ts";
import { attribute, decode, message } from "../../netlink/message.ts";
import { batchMessage, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END } from "../../netlink/nftables/batch.ts";
import {
  type ChainMessage,
  chainMessage,
  NFT_MSG_DELCHAIN,
  NFT_MSG_GETCHAIN,
  NFT_MSG_NEWCHAIN,
} from "../../netlink/nftables/chain.ts";
import { expressions as decodedExpressions } from "../../netlink/nftables/expression.ts";
import { generationMessage, NFT_MSG_GETGEN } from "../../netlink/nftables/generation.ts";
import { NFNL_SUBSYS_NFTABLES } from "../../netlink/nftables/header.ts";
import { NFT_MSG_DELRULE, NFT_MSG_GETRULE, NFT_MSG_NEWRULE, ruleMessage } from "../../netlink/nftables/rule.ts";
import {
  NFT_MSG_DELTABLE,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWTABLE,
  type TableMessage,
  tableMessage,
} from "../../netlink/nftables/table.ts";
import { ruleUserdata } from "../../netlink/nftables/userdata.ts";
import { attributeEnd, attributeType, bytes, Input, NLA_TYPE_MASK, nested, type Wire } from "../../netlink/wire.ts";
import { type ErrnoName, isErrno } from "../../sys/errno.ts";
import { decode as decodeText } from "../../sys/text.ts";

/** A chain by name. */
export interface ChainRef {
  /** NFPROTO_IPV4 … */
  family: number;
  table: string;
  chain: string;
}

/** Where packets enter a base chain. */
export interface Hook {
  number: number;
  priority: number;
  /** "filter", "nat", "route" */
  type: string;
}

/** Content that it has already is no error. */
export function newTable({ family, table }: Omit<ChainRef, "chain">, { comment }: { comment?: string } = {}): Request {
  return request({
    name: "NFT_MSG_NEWTABLE",
    type: NFT_MSG_NEWTABLE,
    flags: NLM_F_CREATE,
    table: tableMessage,
    value: { family, name: table, userdata: commented(comment) },
  });
}

/** With all that is in it. */
export function deleteTable({ family, table }: Omit<ChainRef, "chain">): Request {
  return request({
    name: "NFT_MSG_DELTABLE",
    type: NFT_MSG_DELTABLE,
    table: tableMessage,
    value: { family, name: table },
  });
}

/**
 * The chain may exist already, unless it is `exclusive`: refused with EEXIST then.
 *
 * Never with a policy: sent again, it would replace the administrator's. A new base chain gets ACCEPT.
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

/** With its rules, unless someone jumps to it (EBUSY). */
export function deleteChain({ family, table, chain }: ChainRef): Request {
  return request({
    name: "NFT_MSG_DELCHAIN",
    type: NFT_MSG_DELCHAIN,
    table: chainMessage,
    value: { family, table, name: chain },
  });
}

export interface NewRule {
  /** As templates make them. */
  expressions: Uint8Array;
  /** Behind all others, before all others, or before the rule with this handle; the last unless given. */
  at?: "first" | "last" | { before: bigint };
  /** In userdata, where nft has it. */
  comment?: string;
  /** NFTA_RULE_COMPAT: `compatFor`; rules of iptables only. */
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

/** The table of rules, for expressions that are bytes already. */
const encodedRule = message({
  source: ruleMessage.source,
  header: ruleMessage.header.fields,
  attributes: {
    ...ruleMessage.attributes,
    expressions: attribute(4, "NFTA_RULE_EXPRESSIONS", encoded(decodedExpressions)),
    compat: attribute(5, "NFTA_RULE_COMPAT", nested(bytes)),
  },
});

/** Written as bytes, yet the kernel's complaints point at attributes inside. */
function encoded({ locate }: Pick<Wire<unknown, never>, "locate">): Wire<Uint8Array> {
  return { ...nested(bytes), ...(locate !== undefined && { locate }) };
}

/**
 * Has the kernel do all of it or nothing.
 *
 * @param generation The ruleset must still be the one of this number.
 * @throws NetlinkError the first refusal; ERESTART: the ruleset is another one
 */
export function commit(netfilter: Connection, requests: readonly Request[], generation?: number): void {
  netfilter.transact({ begin: generation === undefined ? begin : beginAt(generation), requests, end });
}

/**
 * Commits what was decided from what was read.
 *
 * @returns false: refused for one of the reasons in `ifNot`, which mean that others were faster; read and decide again
 */
export function committed(
  netfilter: Connection,
  requests: readonly Request[],
  { generation, ifNot }: { generation?: number | undefined; ifNot: readonly ErrnoName[] },
): boolean {
  try {
    if (requests.length > 0) commit(netfilter, requests, generation);
    return true;
  } catch (error) {
    if (isErrno(error, ...ifNot)) return false;
    throw error;
  }
}

/** So often others may be faster than a change that is bound to a generation, before it is made without that bond. */
export const ATTEMPTS = 50;
/** So often others may delete what we are deleting. */
export const DELETE_ATTEMPTS = 4;

const begin = request({
  name: "NFNL_MSG_BATCH_BEGIN",
  type: NFNL_MSG_BATCH_BEGIN,
  table: batchMessage,
  value: { resource: NFNL_SUBSYS_NFTABLES },
});
const end = request({ ...begin, name: "NFNL_MSG_BATCH_END", type: NFNL_MSG_BATCH_END });

const beginAt = (generation: number): Request =>
  request({ ...begin, value: { resource: NFNL_SUBSYS_NFTABLES, generation } });

/** The number of the ruleset, which every change in the namespace increases. */
export function generation(netfilter: Connection): number {
  const { id } = netfilter.get(
    query({ name: "NFT_MSG_GETGEN", type: NFT_MSG_GETGEN, table: generationMessage, value: {} }),
  );
  return id ?? 0;
}

const getChain = ({ family, table, chain }: ChainRef) =>
  query({
    name: "NFT_MSG_GETCHAIN",
    type: NFT_MSG_GETCHAIN,
    table: chainMessage,
    value: { family, table, name: chain },
  });

/** Which of the chains there are, asked in one send. */
export function existing(netfilter: Connection, places: readonly ChainRef[]): boolean[] {
  return netfilter.attemptAll(places.map(getChain)).map((refusal) => {
    if (refusal !== undefined && !isErrno(refusal, ...NOT_THERE)) throw refusal;
    return refusal === undefined;
  });
}
/** EOPNOTSUPP, EINVAL: a kernel without nf_tables has none of them. */
const NOT_THERE = ["ENOENT", "EOPNOTSUPP", "EINVAL"] as const;

/** undefined when there is none of that name. */
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

/** All chains of a family. */
export function listChains(netfilter: Connection, family: number): ChainMessage[] {
  return netfilter.dump(
    query({ name: "NFT_MSG_GETCHAIN", type: NFT_MSG_GETCHAIN, table: chainMessage, value: { family } }),
  );
}

/**
 * Rules of a chain, or of all chains of a table. None when there is no such chain.
 *
 * @param wanted Bytes that stand in it, or whether it is wanted, judged by its bytes as text: names and comments stand in there (see `holds`). Decoding is what costs.
 * @returns Bodies of NFT_MSG_NEWRULE as the kernel sent them, for `ruleMessage`, `handleOf` and so on.
 */
export function findRules(
  netfilter: Connection,
  { family, table, chain }: Omit<ChainRef, "chain"> & { chain?: string },
  wanted: Uint8Array | ((text: string) => boolean),
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

/**
 * Whether a rule's bytes, as text, may hold this comment or this beginning of one. A comment of 127 characters and more has a length in front of it that is
 * no text, and which takes the first character with it.
 */
export const holds = (text: string, comment: string): boolean => text.includes(comment.slice(1));

function bodyIf(wanted: Uint8Array | ((text: string) => boolean)): Wire<Uint8Array | undefined, never> {
  const isWanted =
    typeof wanted === "function"
      ? (bytes: Uint8Array, from: number, to: number) => wanted(decodeText(bytes, from, to))
      : (bytes: Uint8Array, from: number, to: number) => includes(bytes.subarray(from, to), wanted);
  return {
    write() {},
    read: ({ bytes }: Input, from: number, to: number) =>
      isWanted(bytes, from, to) ? bytes.slice(from, to) : undefined,
    text: () => "",
  };
}

/** Whether they are in there, wherever. */
function includes(body: Uint8Array, wanted: Uint8Array): boolean {
  const first = wanted[0] ?? 0;
  for (let at = body.indexOf(first); at >= 0; at = body.indexOf(first, at + 1)) {
    if (wanted.every((byte, i) => body[at + i] === byte)) return true;
  }
  return false;
}

/** What of a rule is looked at without decoding the rest. */
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

/** What the rule consists of, encoded. */
export const expressionsOf = (body: Uint8Array): Uint8Array | undefined => attributeOf(body, RULE_EXPRESSIONS);

/** The comment of a rule that nft made; "" for others. */
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
