/**
 * What `FakeNetfilter` has in common with the kernel's nf_tables: `for (const { claim, holds } of netfilterClaims) t.test(claim, async (t) =>
 * holds(t, open))`. netfilter.test.ts runs the list on the fake, e2e/fakes.test.ts on the kernel.
 */
import type { Test } from "tap";
import { hex } from "../../bytes/hex.ts";
import { errnoName } from "../../sys/errno.ts";
import { type Connection, NetlinkError, query, type Request, request } from "../connection.ts";
import { batchMessage, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END } from "../nftables/batch.ts";
import {
  chainMessage,
  NF_INET_FORWARD,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NFT_MSG_DELCHAIN,
  NFT_MSG_GETCHAIN,
  NFT_MSG_NEWCHAIN,
} from "../nftables/chain.ts";
import { COMPAT_MATCH, COMPAT_TARGET, compatMessage, NFNL_MSG_COMPAT_GET } from "../nftables/compat.ts";
import { NF_ACCEPT, NF_DROP, NFT_JUMP, NFT_REG_1, NFT_REG_VERDICT } from "../nftables/data.ts";
import { elementMessage, NFT_MSG_DELSETELEM, NFT_MSG_GETSETELEM, NFT_MSG_NEWSETELEM } from "../nftables/element.ts";
import { NFT_CMP_EQ } from "../nftables/expression/cmp.ts";
import { NFT_META_L4PROTO } from "../nftables/expression/meta.ts";
import { NFT_PAYLOAD_NETWORK_HEADER } from "../nftables/expression/payload.ts";
import type { ExpressionRequest } from "../nftables/expression.ts";
import { generationMessage, NFT_MSG_GETGEN } from "../nftables/generation.ts";
import { NFNL_SUBSYS_NFTABLES, NFPROTO_IPV4 } from "../nftables/header.ts";
import { NFT_MSG_DELRULE, NFT_MSG_GETRULE, NFT_MSG_NEWRULE, ruleMessage } from "../nftables/rule.ts";
import {
  NFT_MSG_DELSET,
  NFT_MSG_GETSET,
  NFT_MSG_NEWSET,
  NFT_SET_MAP,
  setMessage,
  TYPE_INET_SERVICE,
  TYPE_IPADDR,
} from "../nftables/set.ts";
import { NFT_MSG_DELTABLE, NFT_MSG_GETTABLE, NFT_MSG_NEWTABLE, tableMessage } from "../nftables/table.ts";
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_NONREC, NLM_F_REPLACE } from "../nlmsg.ts";

export interface Claim {
  claim: string;
  /** @param open Opens a connection to one kernel without a ruleset; several may be open. */
  holds(t: Test, open: () => Connection): void;
}

const family = NFPROTO_IPV4;
const EXCLUSIVE = NLM_F_CREATE | NLM_F_EXCL;

const table = (name = "t", flags = NLM_F_CREATE) =>
  request({ name: "NEWTABLE", type: NFT_MSG_NEWTABLE, flags, table: tableMessage, value: { family, name } });
const deleteTable = (name = "t", flags = 0) =>
  request({ name: "DELTABLE", type: NFT_MSG_DELTABLE, flags, table: tableMessage, value: { family, name } });

const chain = (
  name: string,
  { flags = NLM_F_CREATE, in: table = "t", ...more }: { flags?: number; in?: string; policy?: number } = {},
) =>
  request({
    name: "NEWCHAIN",
    type: NFT_MSG_NEWCHAIN,
    flags,
    table: chainMessage,
    value: { family, table, name, ...more },
  });
const base = (name: string, type: string, number: number, priority: number, policy?: number, flags = NLM_F_CREATE) =>
  request({
    name: "NEWCHAIN",
    type: NFT_MSG_NEWCHAIN,
    flags,
    table: chainMessage,
    value: { family, table: "t", name, hook: { number, priority }, policy, type },
  });
const deleteChain = (name: string, flags = 0) =>
  request({
    name: "DELCHAIN",
    type: NFT_MSG_DELCHAIN,
    flags,
    table: chainMessage,
    value: { family, table: "t", name },
  });

const accept: ExpressionRequest = {
  name: "immediate",
  data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NF_ACCEPT } } },
};
const jump = (to: string): ExpressionRequest => ({
  name: "immediate",
  data: { destination: NFT_REG_VERDICT, data: { verdict: { code: NFT_JUMP, chain: to } } },
});
const loadAddress: ExpressionRequest = {
  name: "payload",
  data: { destination: NFT_REG_1, base: NFT_PAYLOAD_NETWORK_HEADER, offset: 12, length: 4 },
};
const lookup = (set: string): ExpressionRequest => ({ name: "lookup", data: { source: NFT_REG_1, set } });

/** @param parts.comment Also the name by which `rules` lists it. */
const rule = (
  chain: string,
  comment: string,
  {
    flags = NLM_F_CREATE | NLM_F_APPEND,
    expressions = [accept],
    ...more
  }: {
    flags?: number;
    expressions?: readonly ExpressionRequest[];
    handle?: bigint;
    position?: bigint;
    compat?: { protocol: number; flags: number };
  } = {},
) =>
  request({
    name: "NEWRULE",
    type: NFT_MSG_NEWRULE,
    flags,
    table: ruleMessage,
    value: { family, table: "t", chain, ...more, expressions, userdata: { comment } },
  });
const deleteRule = (chain: string, handle?: bigint) =>
  request({
    name: "DELRULE",
    type: NFT_MSG_DELRULE,
    table: ruleMessage,
    value: { family, table: "t", chain, handle },
  });

const addresses = { keyType: TYPE_IPADDR, keyLength: 4 };
const ports = { ...addresses, flags: NFT_SET_MAP, dataType: TYPE_INET_SERVICE, dataLength: 2 };
const set = (name: string, value: object = addresses, flags = NLM_F_CREATE) =>
  request({
    name: "NEWSET",
    type: NFT_MSG_NEWSET,
    flags,
    table: setMessage,
    value: { family, table: "t", name, id: 1, ...value },
  });
const deleteSet = (name: string, flags = 0) =>
  request({ name: "DELSET", type: NFT_MSG_DELSET, flags, table: setMessage, value: { family, table: "t", name } });

interface Element {
  key: number[];
  data?: number[];
}
const elementValue = (set: string, elements: readonly Element[] | undefined) => ({
  family,
  table: "t",
  set,
  elements: elements?.map(({ key, data }) => ({
    key: { value: Uint8Array.from(key) },
    ...(data && { data: { value: Uint8Array.from(data) } }),
  })),
});
const elements = (set: string, all: readonly Element[], flags = NLM_F_CREATE) =>
  request({
    name: "NEWSETELEM",
    type: NFT_MSG_NEWSETELEM,
    flags,
    table: elementMessage,
    value: elementValue(set, all),
  });
const deleteElements = (set: string, all?: readonly Element[]) =>
  request({ name: "DELSETELEM", type: NFT_MSG_DELSETELEM, table: elementMessage, value: elementValue(set, all) });

/** Performs a transaction. @returns "done" or the first refusal, such as "NEWCHAIN: EEXIST" */
function send(kernel: Connection, requests: readonly Request[], generation?: number): string {
  const marker = (name: string, type: number, value: object) =>
    request({ name, type, table: batchMessage, value: { resource: NFNL_SUBSYS_NFTABLES, ...value } });
  return outcome(() =>
    kernel.transact({
      begin: marker("BEGIN", NFNL_MSG_BATCH_BEGIN, generation === undefined ? {} : { generation }),
      requests,
      end: marker("END", NFNL_MSG_BATCH_END, {}),
    }),
  );
}

function outcome(work: () => unknown): string {
  try {
    work();
    return "done";
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return `${error.request}: ${errnoName(error.errno)}`;
  }
}

const generationOf = (kernel: Connection): number =>
  kernel.get(query({ name: "GETGEN", type: NFT_MSG_GETGEN, table: generationMessage, value: {} })).id ?? 0;

const getChain = (name: string, table = "t") =>
  query({ name: "GETCHAIN", type: NFT_MSG_GETCHAIN, table: chainMessage, value: { family, table, name } });
const allChains = query({ name: "GETCHAIN", type: NFT_MSG_GETCHAIN, table: chainMessage, value: { family } });
const chains = (kernel: Connection) => kernel.dump(allChains).map(({ name }) => name);

const allRules = (chain?: string, table = "t") =>
  query({ name: "GETRULE", type: NFT_MSG_GETRULE, table: ruleMessage, value: { family, table, chain } });
const rules = (kernel: Connection, chain?: string) =>
  kernel.dump(allRules(chain)).map(({ userdata }) => userdata?.comment);
const handles = (kernel: Connection, chain?: string) => kernel.dump(allRules(chain)).map(({ handle = 0n }) => handle);

const elementsOf = (set: string, keys?: readonly Element[]) =>
  query({ name: "GETSETELEM", type: NFT_MSG_GETSETELEM, table: elementMessage, value: elementValue(set, keys) });
const listed = (kernel: Connection, set: string) =>
  kernel
    .dump(elementsOf(set))
    .flatMap(({ elements = [] }) => elements)
    .map(({ key, data }) => `${hex(key?.value ?? NONE)}${data ? ` ${hex(data.value ?? NONE)}` : ""}`)
    .sort();
const NONE = new Uint8Array();

const MASQUERADE: ExpressionRequest = {
  name: "target",
  data: { name: "MASQUERADE", revision: 0, info: Uint8Array.from({ length: 24 }, (_, i) => (i === 0 ? 1 : 0)) },
};
const compat = { protocol: 0, flags: 0 };

/** Returns the request for a chain or rule of table "nat" instead. */
const inNat = (one: Request): Request => ({
  ...one,
  value: { ...(one.value as object), ...(one.name !== "NEWTABLE" && { table: "nat" }) },
});

export const netfilterClaims: readonly Claim[] = [
  {
    claim: "a batch is performed whole or not at all, and only a change raises the generation",
    holds(t, open) {
      const kernel = open();
      const before = generationOf(kernel);
      t.equal(send(kernel, [table(), chain("a"), chain("b", { in: "none" })]), "NEWCHAIN: ENOENT");
      t.strictSame(chains(kernel), []);
      t.equal(generationOf(kernel), before);
      t.equal(send(kernel, [table(), chain("a")]), "done");
      t.equal(generationOf(kernel), before + 1);
      t.equal(send(kernel, [table()]), "done", "a table that exists is no change");
      t.equal(generationOf(kernel), before + 1);
      t.equal(send(kernel, [chain("a")]), "done", "a chain that exists is one");
      t.equal(generationOf(kernel), before + 2);
    },
  },
  {
    claim: "a batch that names another generation is refused with ERESTART, at its begin",
    holds(t, open) {
      const [kernel, other] = [open(), open()];
      const seen = generationOf(kernel);
      t.equal(send(other, [table("other")]), "done");
      t.equal(send(kernel, [table()], seen), "BEGIN: ERESTART");
      t.equal(send(kernel, [table()], seen + 1), "done");
      t.equal(send(kernel, [table("t2")], 0), "done", "0 names none");
    },
  },
  {
    claim: "changes outside of a batch are refused",
    holds(t, open) {
      t.equal(
        outcome(() => open().request(table())),
        "NEWTABLE: EINVAL",
      );
    },
  },
  {
    claim: "tables: exclusive, missing, with content",
    holds(t, open) {
      const kernel = open();
      t.equal(send(kernel, [table("t", EXCLUSIVE)]), "done");
      t.equal(send(kernel, [table("t", EXCLUSIVE)]), "NEWTABLE: EEXIST");
      t.equal(send(kernel, [table("t", NLM_F_REPLACE)]), "NEWTABLE: EOPNOTSUPP");
      t.equal(send(kernel, [deleteTable("none")]), "DELTABLE: ENOENT");
      t.equal(send(kernel, [chain("a"), chain("b"), rule("a", "r", { expressions: [jump("b")] })]), "done");
      t.equal(send(kernel, [deleteTable("t", NLM_F_NONREC)]), "DELTABLE: EBUSY");
      t.equal(send(kernel, [deleteTable()]), "done");
      const get = query({
        name: "GETTABLE",
        type: NFT_MSG_GETTABLE,
        table: tableMessage,
        value: { family, name: "t" },
      });
      t.equal(
        outcome(() => kernel.get(get)),
        "GETTABLE: ENOENT",
      );
    },
  },
  {
    claim: "chains: exclusive, missing, in a missing table",
    holds(t, open) {
      const kernel = open();
      t.equal(send(kernel, [chain("a")]), "NEWCHAIN: ENOENT");
      t.equal(send(kernel, [table(), chain("a", { flags: EXCLUSIVE })]), "done");
      t.equal(send(kernel, [chain("a", { flags: EXCLUSIVE })]), "NEWCHAIN: EEXIST");
      t.equal(send(kernel, [deleteChain("none")]), "DELCHAIN: ENOENT");
      t.equal(
        outcome(() => kernel.get(getChain("none"))),
        "GETCHAIN: ENOENT",
      );
      t.equal(
        outcome(() => kernel.get(getChain("a", "none"))),
        "GETCHAIN: ENOENT",
      );
      t.equal(kernel.get(getChain("a")).name, "a");
    },
  },
  {
    claim: "several chains are asked for in one send, and only those that are missing are refused",
    holds(t, open) {
      const kernel = open();
      send(kernel, [table(), chain("a"), chain("c")]);
      const refusals = kernel.attemptAll([getChain("a"), getChain("b"), getChain("c"), getChain("d")]);
      t.strictSame(
        refusals.map((refusal) => refusal && errnoName(refusal.errno)),
        [undefined, "ENOENT", undefined, "ENOENT"],
      );
    },
  },
  {
    claim: "a chain is deleted with its rules, unless a rule of another chain jumps to it",
    holds(t, open) {
      const kernel = open();
      const made = [
        table(),
        chain("from"),
        chain("to"),
        rule("to", "x"),
        rule("from", "y", { expressions: [jump("to")] }),
      ];
      t.equal(send(kernel, made), "done");
      t.equal(send(kernel, [deleteChain("to")]), "DELCHAIN: EBUSY");
      t.equal(send(kernel, [deleteChain("to"), deleteRule("from")]), "DELCHAIN: EBUSY", "the order counts");
      t.equal(send(kernel, [deleteChain("from", NLM_F_NONREC)]), "DELCHAIN: EBUSY", "it has rules");
      t.equal(send(kernel, [deleteRule("from"), deleteChain("to")]), "done");
      t.strictSame(chains(kernel), ["from"]);
      t.equal(send(kernel, [deleteChain("from", NLM_F_NONREC)]), "done");
    },
  },
  {
    claim: "base chains: hooks, priorities and policies",
    holds(t, open) {
      const kernel = open();
      const forward = (more: { priority?: number; policy?: number; type?: string } = {}) =>
        base("f", more.type ?? "filter", NF_INET_FORWARD, more.priority ?? 0, more.policy);
      t.equal(send(kernel, [table(), forward()]), "done");
      const policy = () => kernel.get(getChain("f")).policy;
      t.equal(policy(), NF_ACCEPT);
      t.equal(send(kernel, [forward({ policy: NF_DROP })]), "done");
      t.equal(policy(), NF_DROP);
      t.equal(send(kernel, [forward()]), "done");
      t.equal(policy(), NF_DROP, "what is not said stays");
      t.equal(send(kernel, [forward({ priority: 1 })]), "NEWCHAIN: EOPNOTSUPP");
      t.equal(send(kernel, [base("p", "filter", NF_INET_POST_ROUTING, 0)]), "done");
      t.equal(send(kernel, [base("p", "nat", NF_INET_POST_ROUTING, 0)]), "NEWCHAIN: EEXIST");
      t.equal(send(kernel, [chain("f")]), "done", "without a hook nothing is compared");
      t.equal(send(kernel, [chain("plain"), base("plain", "filter", NF_INET_FORWARD, 0)]), "NEWCHAIN: EEXIST");
      t.equal(send(kernel, [base("n", "nat", NF_INET_FORWARD, 0)]), "NEWCHAIN: EOPNOTSUPP");
      t.equal(send(kernel, [base("n", "nat", NF_INET_PRE_ROUTING, -300)]), "NEWCHAIN: EOPNOTSUPP");
      t.equal(send(kernel, [base("n", "nosuch", NF_INET_FORWARD, 0)]), "NEWCHAIN: ENOENT");
      t.equal(send(kernel, [chain("plain", { policy: NF_DROP })]), "NEWCHAIN: EOPNOTSUPP");
    },
  },
  {
    claim: "rules stand where they were asked to stand",
    holds(t, open) {
      const kernel = open();
      t.equal(send(kernel, [table(), chain("a"), rule("a", "1"), rule("a", "2")]), "done");
      t.equal(send(kernel, [rule("a", "0", { flags: NLM_F_CREATE })]), "done");
      t.strictSame(rules(kernel, "a"), ["0", "1", "2"]);
      const [, one = 0n] = handles(kernel, "a");
      t.equal(send(kernel, [rule("a", "0.5", { flags: NLM_F_CREATE, position: one })]), "done");
      t.equal(send(kernel, [rule("a", "1.5", { position: one })]), "done");
      t.strictSame(rules(kernel, "a"), ["0", "0.5", "1", "1.5", "2"]);
      t.equal(send(kernel, [rule("a", "one", { flags: NLM_F_REPLACE, handle: one })]), "done");
      t.strictSame(rules(kernel, "a"), ["0", "0.5", "one", "1.5", "2"]);
      t.ok(handles(kernel, "a").includes(one), "a replaced rule keeps its handle");
      t.strictSame(rules(kernel), rules(kernel, "a"), "those of all chains");
    },
  },
  {
    claim: "rules: missing handles, positions and chains",
    holds(t, open) {
      const kernel = open();
      send(kernel, [table(), chain("a"), chain("b"), rule("b", "r")]);
      const [handle = 0n] = handles(kernel, "b");
      t.equal(send(kernel, [rule("none", "r")]), "NEWRULE: ENOENT");
      t.equal(send(kernel, [rule("a", "r", { position: 4711n })]), "NEWRULE: ENOENT");
      t.equal(send(kernel, [rule("a", "r", { flags: 0 })]), "NEWRULE: EINVAL");
      t.equal(send(kernel, [rule("b", "r", { handle })]), "NEWRULE: EOPNOTSUPP");
      t.equal(send(kernel, [rule("b", "r", { handle, flags: EXCLUSIVE })]), "NEWRULE: EEXIST");
      t.equal(send(kernel, [deleteRule("a", 4711n)]), "DELRULE: ENOENT");
      t.equal(send(kernel, [deleteRule("a", handle)]), "DELRULE: ENOENT", "that of another chain");
      t.equal(send(kernel, [deleteRule("none")]), "DELRULE: ENOENT");
      t.equal(send(kernel, [deleteRule("b", handle), deleteRule("b", handle)]), "DELRULE: ENOENT");
      t.equal(send(kernel, [deleteRule("b", handle)]), "done");
    },
  },
  {
    claim: "deleting the rules of a chain: without any it is no change",
    holds(t, open) {
      const kernel = open();
      send(kernel, [table(), chain("a"), rule("a", "1"), rule("a", "2")]);
      t.equal(send(kernel, [deleteRule("a")]), "done");
      t.strictSame(rules(kernel, "a"), []);
      const before = generationOf(kernel);
      t.equal(send(kernel, [deleteRule("a")]), "done");
      t.equal(generationOf(kernel), before);
    },
  },
  {
    claim: "chains, rules and sets of a table share their handles, which are never given again",
    holds(t, open) {
      const kernel = open();
      send(kernel, [table(), chain("a"), rule("a", "1"), rule("a", "2")]);
      const [first = 0n, second = 0n] = handles(kernel, "a");
      const { handle: ofChain = 0n } = kernel.get(getChain("a"));
      t.strictSame([first - ofChain, second - ofChain], [1n, 2n]);
      send(kernel, [deleteRule("a", second)]);
      send(kernel, [set("s"), rule("a", "3")]);
      t.strictSame(handles(kernel, "a"), [first, second + 2n]);
    },
  },
  {
    claim: "the rules of a chain that does not exist are none, and no error",
    holds(t, open) {
      const kernel = open();
      send(kernel, [table()]);
      t.strictSame(rules(kernel, "none"), []);
      t.strictSame(kernel.dump(allRules("a", "none")), []);
    },
  },
  {
    claim: "jumps: to a missing chain, to a base chain, in a circle",
    holds(t, open) {
      const kernel = open();
      const postrouting = base("b", "nat", NF_INET_POST_ROUTING, 100);
      t.equal(send(kernel, [table(), postrouting, chain("a"), chain("c")]), "done");
      const to = (name: string) => ({ expressions: [jump(name)] });
      t.equal(send(kernel, [rule("a", "r", to("none"))]), "NEWRULE: ENOENT");
      t.equal(send(kernel, [rule("a", "r", to("b"))]), "NEWRULE: EOPNOTSUPP");
      t.equal(send(kernel, [rule("a", "r", to("c")), rule("c", "r", to("a"))]), "done", "no packet gets there");
      t.equal(send(kernel, [rule("b", "r", to("a"))]), "NEWRULE: EMLINK");
    },
  },
  {
    claim: "expressions: unknown, and masquerade in the wrong chain",
    holds(t, open) {
      const kernel = open();
      const nat = base("post", "nat", NF_INET_POST_ROUTING, 100);
      const pre = base("pre", "nat", NF_INET_PRE_ROUTING, -100);
      const forward = base("forward", "filter", NF_INET_FORWARD, 0);
      t.equal(send(kernel, [table(), nat, pre, forward, chain("own")]), "done");
      const masq: ExpressionRequest = { name: "masq", data: {} };
      const unknown = { name: "nosuch" } as unknown as ExpressionRequest;
      const with_ = (...expressions: ExpressionRequest[]) => ({ expressions });
      t.equal(send(kernel, [rule("own", "r", with_(unknown))]), "NEWRULE: ENOENT");
      t.equal(send(kernel, [rule("forward", "r", with_(masq))]), "NEWRULE: EOPNOTSUPP");
      t.equal(send(kernel, [rule("pre", "r", with_(masq))]), "NEWRULE: EOPNOTSUPP");
      t.equal(send(kernel, [rule("post", "r", with_(masq)), rule("own", "r", with_(masq))]), "done");
      t.equal(send(kernel, [rule("post", "r", with_(jump("own")))]), "done");
      t.equal(send(kernel, [rule("pre", "r", with_(jump("own")))]), "NEWRULE: EOPNOTSUPP", "through a jump");
      t.equal(
        send(kernel, [rule("own", "r", with_(jump("own")))]),
        "NEWRULE: EMLINK",
        "a chain that packets reach may not jump to itself",
      );
    },
  },
  {
    claim: "extensions of xtables: in the wrong chain, and whether there are any",
    holds(t, open) {
      const kernel = open();
      const ask = (name: string, type: number) =>
        request({
          name: "COMPAT_GET",
          type: NFNL_MSG_COMPAT_GET,
          table: compatMessage,
          value: { family, name, revision: 0, type },
        });
      kernel.request(ask("MASQUERADE", COMPAT_TARGET));
      kernel.request(ask("comment", COMPAT_MATCH));
      const nat = base("post", "nat", NF_INET_POST_ROUTING, 100);
      const forward = base("forward", "filter", NF_INET_FORWARD, 0);
      t.equal(send(kernel, [table(), nat, forward, chain("own")]), "done");
      const masquerade = { expressions: [MASQUERADE], compat };
      t.equal(send(kernel, [rule("own", "r", masquerade)]), "NEWRULE: EINVAL", "only in a table of iptables");
      t.equal(send(kernel, [table("nat"), nat, forward, chain("own")].map(inNat)), "done");
      t.equal(send(kernel, [inNat(rule("forward", "r", masquerade))]), "NEWRULE: EINVAL");
      const toOwn = { expressions: [jump("own")] };
      t.equal(send(kernel, [rule("own", "r", masquerade), rule("post", "r", toOwn)].map(inNat)), "done");
      t.equal(send(kernel, [inNat(rule("forward", "r", toOwn))]), "NEWRULE: EINVAL");
    },
  },
  {
    claim: "a rule is listed with what the kernel adds to it, in the kernel's order",
    holds(t, open) {
      const kernel = open();
      const expressions: ExpressionRequest[] = [
        { name: "meta", data: { destination: NFT_REG_1, key: NFT_META_L4PROTO } },
        { name: "cmp", data: { operator: NFT_CMP_EQ, source: NFT_REG_1, data: { value: Uint8Array.of(6) } } },
        loadAddress,
        {
          name: "bitwise",
          data: {
            source: NFT_REG_1,
            destination: NFT_REG_1,
            length: 4,
            mask: { value: Uint8Array.of(255, 255, 0, 0) },
            xor: { value: new Uint8Array(4) },
          },
        },
        lookup("s"),
        { name: "counter", data: {} },
        jump("b"),
      ];
      const first = rule("a", "first");
      t.equal(
        send(kernel, [table(), set("s"), chain("a"), chain("b"), first, rule("a", "r", { expressions })]),
        "done",
      );
      const [before, found] = kernel.dump(allRules("a"));
      t.equal(found?.position, before?.handle, "the rule before it");
      t.equal(
        JSON.stringify(found?.expressions, (_, value) =>
          value instanceof Uint8Array
            ? hex(value)
            : `${value}` === "[object Object]" || Array.isArray(value)
              ? value
              : `${value}`,
        ),
        '[{"name":"meta","data":{"key":"16","destination":"1"}},' +
          '{"name":"cmp","data":{"source":"1","operator":"0","data":{"value":"06"}}},' +
          '{"name":"payload","data":{"destination":"1","base":"1","offset":"12","length":"4"}},' +
          '{"name":"bitwise","data":{"source":"1","destination":"1","length":"4","operation":"0","mask":{"value":"ffff0000"},"xor":{"value":"00000000"}}},' +
          '{"name":"lookup","data":{"set":"s","source":"1","flags":"0"}},' +
          '{"name":"counter","data":{"bytes":"0","packets":"0"}},' +
          '{"name":"immediate","data":{"destination":"0","data":{"verdict":{"code":"-3","chain":"b"}}}}]',
      );
    },
  },
  {
    claim: "sets: exclusive, of another type, in use, with elements",
    holds(t, open) {
      const kernel = open();
      t.equal(send(kernel, [table(), set("s", addresses, EXCLUSIVE)]), "done");
      t.equal(send(kernel, [set("s", addresses, EXCLUSIVE)]), "NEWSET: EEXIST");
      t.equal(send(kernel, [set("s")]), "done");
      t.equal(send(kernel, [set("s", ports)]), "NEWSET: EEXIST");
      t.equal(send(kernel, [set("none", addresses, 0)]), "NEWSET: ENOENT");
      t.equal(send(kernel, [set("x", { ...addresses, id: undefined })]), "NEWSET: EINVAL");
      t.equal(send(kernel, [deleteSet("none")]), "DELSET: ENOENT");
      t.equal(send(kernel, [elements("s", [{ key: [10, 0, 0, 1] }])]), "done");
      t.equal(send(kernel, [deleteSet("s", NLM_F_NONREC)]), "DELSET: EBUSY");
      const uses = rule("a", "r", { expressions: [loadAddress, lookup("s")] });
      t.equal(send(kernel, [chain("a"), uses]), "done");
      t.equal(send(kernel, [deleteSet("s")]), "DELSET: EBUSY");
      t.equal(send(kernel, [deleteRule("a"), deleteSet("s")]), "done");
      t.equal(send(kernel, [uses]), "NEWRULE: ENOENT");
      const get = query({
        name: "GETSET",
        type: NFT_MSG_GETSET,
        table: setMessage,
        value: { family, table: "t", name: "s" },
      });
      t.equal(
        outcome(() => kernel.get(get)),
        "GETSET: ENOENT",
      );
    },
  },
  {
    claim: "elements of a set: twice, missing, of a wrong length",
    holds(t, open) {
      const kernel = open();
      const [one, two] = [{ key: [10, 0, 0, 1] }, { key: [10, 0, 0, 2] }];
      send(kernel, [table(), set("s")]);
      t.equal(send(kernel, [elements("s", [one, two], EXCLUSIVE)]), "done");
      t.strictSame(listed(kernel, "s"), ["0a000001", "0a000002"]);
      t.equal(send(kernel, [elements("s", [one], EXCLUSIVE)]), "NEWSETELEM: EEXIST");
      const before = generationOf(kernel);
      t.equal(send(kernel, [elements("s", [one])]), "done");
      t.equal(generationOf(kernel), before, "no change");
      t.equal(send(kernel, [deleteElements("s", [one]), elements("s", [one], EXCLUSIVE)]), "done");
      t.equal(send(kernel, [deleteElements("s", [one, one])]), "DELSETELEM: ENOENT");
      t.strictSame(listed(kernel, "s"), ["0a000001", "0a000002"]);
      t.equal(send(kernel, [elements("s", [{ key: [1, 2, 3, 4, 5, 6, 7, 8] }])]), "NEWSETELEM: EINVAL");
      t.equal(send(kernel, [elements("s", [{ ...one, data: [1, 2] }])]), "NEWSETELEM: EINVAL");
      t.equal(send(kernel, [elements("none", [one])]), "NEWSETELEM: ENOENT");
      t.equal(send(kernel, [deleteElements("s")]), "done");
      t.strictSame(listed(kernel, "s"), []);
    },
  },
  {
    claim: "elements of a map: without a value, with another one",
    holds(t, open) {
      const kernel = open();
      const one = { key: [10, 0, 0, 1], data: [0, 80] };
      send(kernel, [table(), set("m", ports)]);
      t.equal(send(kernel, [elements("m", [one])]), "done");
      t.strictSame(listed(kernel, "m"), ["0a000001 0050"]);
      t.equal(send(kernel, [elements("m", [one])]), "done");
      t.equal(send(kernel, [elements("m", [{ ...one, data: [0, 81] }])]), "NEWSETELEM: EEXIST");
      t.equal(send(kernel, [elements("m", [{ key: [10, 0, 0, 2] }])]), "NEWSETELEM: EINVAL");
      t.equal(send(kernel, [elements("m", [{ key: [10, 0, 0, 2], data: [1, 2, 3, 4] }])]), "NEWSETELEM: EINVAL");
    },
  },
  {
    claim: "single elements are asked for; a missing element, set or table is refused",
    holds(t, open) {
      const kernel = open();
      const [one, two] = [{ key: [10, 0, 0, 1], data: [0, 80] }, { key: [10, 0, 0, 2] }];
      send(kernel, [table(), set("m", ports), elements("m", [one])]);
      const { elements: found = [] } = kernel.get(elementsOf("m", [{ key: one.key }]));
      t.strictSame(hex(found[0]?.data?.value ?? NONE), "0050");
      for (const [set, key] of [
        ["m", two],
        ["none", two],
      ] as const) {
        t.equal(
          outcome(() => kernel.get(elementsOf(set, [key]))),
          "GETSETELEM: ENOENT",
        );
      }
      t.equal(
        outcome(() => kernel.dump(elementsOf("none"))),
        "GETSETELEM: ENOENT",
      );
    },
  },
];
