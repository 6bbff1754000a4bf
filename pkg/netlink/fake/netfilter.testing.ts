/**
 * A fake nf_tables of the kernel for unit tests: decodes the bytes that a connection sends, holds tables, chains, rules, sets and elements,
 * and refuses what the kernel refuses. README.md of pkg/netlink shows its use; `netfilterClaims` says what it has in common with the kernel.
 *
 * Not simulated, so that a test which needs it fails with `NotSimulated`: intervals, timeouts, objects, flowtables, anonymous sets and
 * chains, updates of a table's flags. No packet is ever evaluated. Elements are listed in an order that depends on their keys alone, as the
 * kernel's hashes list them in no order of their own.
 */
import { hex } from "../../bytes/hex.ts";
import type { ErrnoName } from "../../sys/errno.ts";
import { type Channel, Connection } from "../connection.ts";
import { decode } from "../message.ts";
import { batchMessage, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END } from "../nftables/batch.ts";
import {
  type ChainMessage,
  chainMessage,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DESTROYCHAIN,
  NFT_MSG_GETCHAIN,
  NFT_MSG_NEWCHAIN,
} from "../nftables/chain.ts";
import { COMPAT_MATCH, compatMessage, NFNL_MSG_COMPAT_GET } from "../nftables/compat.ts";
import { NF_ACCEPT, NFT_GOTO, NFT_JUMP } from "../nftables/data.ts";
import {
  type ElementMessage,
  elementMessage,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DESTROYSETELEM,
  NFT_MSG_GETSETELEM,
  NFT_MSG_NEWSETELEM,
  type SetElement,
} from "../nftables/element.ts";
import type { Expression, ExpressionRequest } from "../nftables/expression.ts";
import { generationMessage, NFT_MSG_GETGEN, NFT_MSG_NEWGEN } from "../nftables/generation.ts";
import { NFPROTO_UNSPEC } from "../nftables/header.ts";
import {
  NFT_MSG_DELRULE,
  NFT_MSG_DESTROYRULE,
  NFT_MSG_GETRULE,
  NFT_MSG_NEWRULE,
  type RuleMessage,
  ruleMessage,
} from "../nftables/rule.ts";
import {
  NFT_MSG_DELSET,
  NFT_MSG_DESTROYSET,
  NFT_MSG_GETSET,
  NFT_MSG_NEWSET,
  NFT_SET_CONSTANT,
  NFT_SET_MAP,
  type SetMessage,
  setMessage,
} from "../nftables/set.ts";
import {
  NFT_MSG_DELTABLE,
  NFT_MSG_DESTROYTABLE,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWTABLE,
  type TableMessage,
  tableMessage,
} from "../nftables/table.ts";
import {
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_NONREC,
  NLM_F_REPLACE,
  type Nlmsg,
} from "../nlmsg.ts";
import type { AnyWire } from "../wire.ts";
import {
  answer,
  done,
  errorAnswer,
  type Faults,
  fakeChannel,
  isDump,
  NotSimulated,
  type Sent,
} from "./channel.testing.ts";
import { rulesetText } from "./ruleset-text.testing.ts";

export interface FakeRule {
  readonly handle: bigint;
  readonly expressions: readonly Expression[];
  readonly userdata: RuleMessage["userdata"];
}

export interface FakeChain {
  readonly name: string;
  readonly handle: bigint;
  /** The hook of a base chain. */
  readonly base: { number: number; priority: number; type: string; policy: number } | undefined;
  readonly userdata: ChainMessage["userdata"];
  rules: readonly FakeRule[];
}

export interface FakeSet {
  readonly handle: bigint;
  /** The set as it was made. */
  readonly message: SetMessage;
  /** The elements by their keys in hexadecimal digits. */
  elements: ReadonlyMap<string, SetElement>;
}

export interface FakeTable {
  readonly family: number;
  readonly name: string;
  readonly handle: bigint;
  readonly userdata: TableMessage["userdata"];
  readonly chains: Map<string, FakeChain>;
  readonly sets: Map<string, FakeSet>;
  /** The last handle that was given to a chain, rule or set of this table. */
  lastHandle: bigint;
}

/** The tables by family and name. */
export type FakeRuleset = Map<string, FakeTable>;

/** A ruleset in the making. */
interface Draft {
  readonly tables: FakeRuleset;
  /** The extensions of xtables that the kernel lacks. */
  readonly lacking: ReadonlySet<string>;
  /** The last handle that was given to a table. */
  lastHandle: bigint;
  isChanged: boolean;
}

class Refused extends Error {
  readonly errno: ErrnoName;

  constructor(errno: ErrnoName) {
    super(errno);
    this.errno = errno;
  }
}

interface Handler {
  name: string;
  table: AnyWire;
  perform(draft: Draft, frame: Nlmsg): void;
}

export class FakeNetfilter implements Faults {
  refuse: Faults["refuse"];
  before: Faults["before"];
  /** The requests so far, without the begin and end of batches; a test may empty it. */
  readonly sent: Sent[] = [];
  /** The extensions of xtables that the kernel lacks, such as `MASQUERADE`. */
  readonly lacking = new Set<string>();
  #tables: FakeRuleset = new Map();
  #lastHandle = 0n;
  #generation = 1;
  #number = 0;

  /** The number of the ruleset, which every change increases. */
  get generation(): number {
    return this.#generation;
  }

  /** Opens a connection to this kernel; several may be open. */
  connect(): Connection {
    return new Connection(this.channel());
  }

  /** Returns what carries the messages of a connection of another kind to this kernel. */
  channel(): Channel {
    return fakeChannel((messages) => this.#perform(messages));
  }

  /** Returns the ruleset as text in the words of `nft list ruleset`. */
  text(): string {
    return rulesetText(this.#tables);
  }

  #perform(messages: readonly Nlmsg[]): Uint8Array[] {
    const requests = new Map<Nlmsg, Sent>();
    for (const message of messages) {
      const request = this.#sentOf(message);
      if (request !== undefined) requests.set(message, request);
    }
    this.sent.push(...requests.values());
    this.before?.([...requests.values()]);
    const [first] = messages;
    if (first?.type === NFNL_MSG_BATCH_BEGIN) return this.#batch(first, messages.slice(1), requests);
    return messages.flatMap((message) => this.#query(message, requests.get(message)));
  }

  #sentOf(frame: Nlmsg): Sent | undefined {
    if (frame.type === NFNL_MSG_BATCH_BEGIN || frame.type === NFNL_MSG_BATCH_END) return undefined;
    const { name, table } = changes[frame.type] ?? queries[frame.type] ?? unknown(frame);
    const { body } = frame;
    return {
      name,
      number: ++this.#number,
      get value() {
        return decode(table, body);
      },
    };
  }

  /** Performs a transaction: all of it or nothing. The kernel looks at all messages also when it has refused one. */
  #batch(begin: Nlmsg, messages: readonly Nlmsg[], requests: ReadonlyMap<Nlmsg, Sent>): Uint8Array[] {
    const { generation } = decode(batchMessage, begin.body);
    if (generation && generation !== this.#generation) return [errorAnswer(begin, { errno: "ERESTART" })];
    const draft: Draft = {
      tables: copyOf(this.#tables),
      lacking: this.lacking,
      lastHandle: this.#lastHandle,
      isChanged: false,
    };
    const answers: Uint8Array[] = [];
    let isRefused = false;
    let isComplete = false;
    for (const message of messages) {
      if (message.type === NFNL_MSG_BATCH_END) {
        isComplete = true;
        break;
      }
      const errno = this.#refusalOf(requests.get(message), () => {
        const handler = changes[message.type];
        if (handler === undefined) throw new Refused("EINVAL");
        handler.perform(draft, message);
      });
      if (errno !== undefined) isRefused = true;
      if (errno !== undefined || message.flags & NLM_F_ACK) answers.push(errorAnswer(message, errno && { errno }));
    }
    if (isComplete && !isRefused && draft.isChanged) {
      this.#tables = draft.tables;
      this.#lastHandle = draft.lastHandle;
      this.#generation++;
    }
    return answers;
  }

  #query(message: Nlmsg, request: Sent | undefined): Uint8Array[] {
    let found: Uint8Array[] = [];
    const errno = this.#refusalOf(request, () => {
      const handler = queries[message.type];
      if (handler === undefined) throw new Refused("EINVAL"); // a change outside of a batch
      found = handler.answer(message, this.#tables, this);
    });
    if (errno !== undefined) return [errorAnswer(message, { errno })];
    if (isDump(message)) return [...found, done(message)];
    return message.flags & NLM_F_ACK ? [...found, errorAnswer(message)] : found;
  }

  #refusalOf(request: Sent | undefined, work: () => void): ErrnoName | undefined {
    try {
      const fault = request && this.refuse?.(request);
      if (fault !== undefined) return fault;
      work();
      return undefined;
    } catch (error) {
      if (error instanceof Refused) return error.errno;
      throw error;
    }
  }
}

function unknown({ type }: Nlmsg): never {
  throw new NotSimulated(`the fake netfilter does not know messages of type 0x${type.toString(16)}`);
}

/** Returns a copy that can be changed: rules, elements and definitions are never changed in place. */
function copyOf(tables: FakeRuleset): FakeRuleset {
  return new Map(
    [...tables].map(([key, table]) => [
      key,
      {
        ...table,
        chains: new Map([...table.chains].map(([name, chain]) => [name, { ...chain }])),
        sets: new Map([...table.sets].map(([name, set]) => [name, { ...set }])),
      },
    ]),
  );
}

// --- Looking up --------------------------------------------------------------------------------------------------------------------------

function tableIn(tables: FakeRuleset, family: number, name: string | undefined): FakeTable {
  if (name === undefined) throw new Refused("EINVAL");
  const table = tables.get(`${family} ${name}`);
  if (table === undefined) throw new Refused("ENOENT");
  return table;
}

function chainIn({ chains }: FakeTable, name: string | undefined): FakeChain {
  if (name === undefined) throw new Refused("EINVAL");
  const chain = chains.get(name);
  if (chain === undefined) throw new Refused("ENOENT");
  return chain;
}

function setIn({ sets }: FakeTable, name: string | undefined): FakeSet {
  if (name === undefined) throw new Refused("EINVAL");
  const set = sets.get(name);
  if (set === undefined) throw new Refused("ENOENT");
  return set;
}

function ruleIn({ rules }: FakeChain, handle: bigint | undefined): FakeRule {
  const rule = rules.find((one) => one.handle === handle);
  if (rule === undefined) throw new Refused("ENOENT");
  return rule;
}

/** Returns the next handle of the table's objects. */
const newHandle = (table: FakeTable): bigint => ++table.lastHandle;

/** Refuses a NEW message for an object that exists, as its flags ask for. */
function refuseExisting({ flags }: Nlmsg): void {
  if (flags & NLM_F_EXCL) throw new Refused("EEXIST");
  if (flags & NLM_F_REPLACE) throw new Refused("EOPNOTSUPP");
}

// --- Tables ------------------------------------------------------------------------------------------------------------------------------

function newTable(draft: Draft, frame: Nlmsg): void {
  const { family, name, flags = 0, userdata } = decode(tableMessage, frame.body);
  if (name === undefined) throw new Refused("EINVAL");
  if (flags !== 0) throw new NotSimulated("flags of tables");
  const key = `${family} ${name}`;
  if (draft.tables.has(key)) {
    refuseExisting(frame);
  } else {
    const handle = ++draft.lastHandle;
    draft.tables.set(key, { family, name, handle, userdata, chains: new Map(), sets: new Map(), lastHandle: 0n });
    draft.isChanged = true;
  }
}

function deleteTable(draft: Draft, frame: Nlmsg): void {
  const { family, name } = decode(tableMessage, frame.body);
  if (name === undefined) throw new NotSimulated("the deletion of all tables");
  const table = tableIn(draft.tables, family, name);
  if (frame.flags & NLM_F_NONREC && table.chains.size + table.sets.size > 0) throw new Refused("EBUSY");
  draft.tables.delete(`${family} ${name}`);
  draft.isChanged = true;
}

// --- Chains ------------------------------------------------------------------------------------------------------------------------------

function newChain(draft: Draft, frame: Nlmsg): void {
  const message = decode(chainMessage, frame.body);
  const table = tableIn(draft.tables, message.family, message.table);
  const { name, hook, policy, userdata, handle, id } = message;
  if (handle !== undefined || id !== undefined) throw new NotSimulated("chains by handle or ID");
  if (name === undefined) throw new Refused("EINVAL");
  const existing = table.chains.get(name);
  if (policy !== undefined && (existing === undefined ? hook : existing.base) === undefined) {
    throw new Refused("EOPNOTSUPP");
  }
  draft.isChanged = true;
  if (existing === undefined) {
    const base = hook === undefined ? undefined : baseOf(message);
    table.chains.set(name, { name, handle: newHandle(table), base, userdata, rules: [] });
    return;
  }
  refuseExisting(frame);
  if (hook !== undefined) {
    const { base } = existing;
    const wanted = baseOf(message);
    if (base === undefined) throw new Refused("EEXIST");
    if (base.number !== wanted.number || base.priority !== wanted.priority) throw new Refused("EOPNOTSUPP");
    if (base.type !== wanted.type) throw new Refused("EEXIST");
  }
  if (policy !== undefined && existing.base !== undefined) {
    table.chains.set(name, { ...existing, base: { ...existing.base, policy } });
  }
}

/** The hooks of each type of chain. */
const HOOKS: Readonly<Record<string, readonly number[]>> = {
  filter: [0, 1, 2, 3, 4],
  nat: [NF_INET_PRE_ROUTING, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING],
  route: [NF_INET_LOCAL_OUT],
};
/** Connection tracking has this priority, and nat has to come later: NF_IP_PRI_CONNTRACK of linux/netfilter_ipv4.h. */
const NF_IP_PRI_CONNTRACK = -200;

function baseOf({ hook, type = "filter", policy = NF_ACCEPT }: ChainMessage): NonNullable<FakeChain["base"]> {
  const { number, priority } = hook ?? {};
  if (number === undefined || priority === undefined) throw new Refused("ENOENT");
  const hooks = HOOKS[type];
  if (hooks === undefined) throw new Refused("ENOENT");
  if (!hooks.includes(number)) throw new Refused("EOPNOTSUPP");
  if (type === "nat" && priority <= NF_IP_PRI_CONNTRACK) throw new Refused("EOPNOTSUPP");
  return { number, priority, type, policy };
}

function deleteChain(draft: Draft, frame: Nlmsg): void {
  const { family, table: tableName, name, handle } = decode(chainMessage, frame.body);
  if (handle !== undefined) throw new NotSimulated("chains by handle");
  const table = tableIn(draft.tables, family, tableName);
  const chain = chainIn(table, name);
  if (frame.flags & NLM_F_NONREC && chain.rules.length + usesOf(table, chain.name) > 0) throw new Refused("EBUSY");
  chain.rules = [];
  if (usesOf(table, chain.name) > 0) throw new Refused("EBUSY");
  table.chains.delete(chain.name);
  draft.isChanged = true;
}

/** Returns the number of jumps to a chain, from rules and from elements of maps. */
function usesOf({ chains, sets }: FakeTable, name: string): number {
  const rules = [...chains.values()].flatMap(({ rules }) => rules);
  const elements = [...sets.values()].flatMap(({ elements }) => [...elements.values()]);
  const targets = [...rules.flatMap(({ expressions }) => jumpsIn(expressions)), ...elements.flatMap(jumpOfElement)];
  return targets.filter((target) => target === name).length;
}

const jumpsIn = (expressions: readonly Expression[]): string[] =>
  expressions.flatMap((one) => (one.name === "immediate" ? jumpOf(one.data?.data?.verdict) : []));

const jumpOfElement = ({ data }: SetElement): string[] => jumpOf(data?.verdict);

const jumpOf = (verdict: { code?: number; chain?: string } | undefined): string[] =>
  (verdict?.code === NFT_JUMP || verdict?.code === NFT_GOTO) && verdict.chain !== undefined ? [verdict.chain] : [];

// --- Rules -------------------------------------------------------------------------------------------------------------------------------

function newRule(draft: Draft, frame: Nlmsg): void {
  const message = decode(ruleMessage, frame.body);
  const table = tableIn(draft.tables, message.family, message.table);
  const chain = chainIn(table, message.chain);
  if (message.positionId !== undefined || message.chainId !== undefined) throw new NotSimulated("rules by ID");
  const { expressions = [], userdata, position } = message;
  if (message.handle !== undefined) {
    const old = ruleIn(chain, message.handle);
    if (frame.flags & NLM_F_EXCL) throw new Refused("EEXIST");
    if (!(frame.flags & NLM_F_REPLACE)) throw new Refused("EOPNOTSUPP");
    const rule = { handle: old.handle, expressions: expressions.map(normalized), userdata };
    chain.rules = chain.rules.map((one) => (one === old ? rule : one));
  } else {
    if (!(frame.flags & NLM_F_CREATE) || frame.flags & NLM_F_REPLACE) throw new Refused("EINVAL");
    const rule = { handle: newHandle(table), expressions: expressions.map(normalized), userdata };
    const isAppended = (frame.flags & NLM_F_APPEND) !== 0;
    const at =
      position === undefined
        ? isAppended
          ? chain.rules.length
          : 0
        : chain.rules.indexOf(ruleIn(chain, position)) + (isAppended ? 1 : 0);
    chain.rules = [...chain.rules.slice(0, at), rule, ...chain.rules.slice(at)];
  }
  for (const expression of expressions) checkExpression(draft, table, expression);
  checkReachable(table);
  draft.isChanged = true;
}

/** The expressions that the kernel knows. */
const EXPRESSIONS = new Set(
  "bitwise byteorder cmp counter ct dynset exthdr fib hash immediate last limit log lookup masq match meta nat notrack numgen objref payload queue quota range redir reject rt socket synproxy target tproxy".split(
    " ",
  ),
);

function checkExpression({ lacking }: Draft, table: FakeTable, expression: Expression): void {
  if (expression.name === undefined) throw new Refused("EINVAL");
  if (!EXPRESSIONS.has(expression.name)) throw new Refused("ENOENT");
  if (expression.name === "lookup") {
    const isMap = ((setIn(table, expression.data?.set).message.flags ?? 0) & NFT_SET_MAP) !== 0;
    if (expression.data?.destination !== undefined && !isMap) throw new Refused("EINVAL");
  }
  const isExtension = expression.name === "match" || expression.name === "target";
  const extension = isExtension ? (expression.data?.name ?? "") : "";
  if (lacking.has(extension)) throw new Refused("ENOENT");
  if (extension in TRANSLATING && table.name !== "nat") throw new Refused("EINVAL");
  for (const target of jumpsIn([expression])) {
    if (chainIn(table, target).base !== undefined) throw new Refused("EOPNOTSUPP");
  }
}

/** The deepest nesting of jumps: NFT_JUMP_STACK_SIZE. */
const JUMP_STACK_SIZE = 16;

/** Follows the jumps from each base chain: refuses loops, and translations in the wrong kind of chain. */
function checkReachable(table: FakeTable): void {
  for (const chain of table.chains.values()) if (chain.base !== undefined) checkFrom(table, chain, chain.base, 0);
}

function checkFrom(table: FakeTable, chain: FakeChain, base: NonNullable<FakeChain["base"]>, level: number): void {
  if (level === JUMP_STACK_SIZE) throw new Refused("EMLINK");
  for (const { expressions } of chain.rules) {
    for (const expression of expressions) checkHook(expression, base);
    const maps = expressions.flatMap((one) =>
      one.name === "lookup" && one.data?.destination === 0
        ? [...(table.sets.get(one.data.set ?? "")?.elements.values() ?? [])]
        : [],
    );
    for (const target of [...jumpsIn(expressions), ...maps.flatMap(jumpOfElement)]) {
      const next = table.chains.get(target);
      if (next !== undefined) checkFrom(table, next, base, level + 1);
    }
  }
}

const SOURCE_HOOKS = [NF_INET_POST_ROUTING, NF_INET_LOCAL_IN];
const DESTINATION_HOOKS = [NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT];
/** The targets of xtables that translate, with their hooks. */
const TRANSLATING: Readonly<Record<string, readonly number[]>> = {
  SNAT: SOURCE_HOOKS,
  DNAT: DESTINATION_HOOKS,
  REDIRECT: DESTINATION_HOOKS,
  MASQUERADE: [NF_INET_POST_ROUTING],
};

function checkHook(expression: Expression, { type, number }: NonNullable<FakeChain["base"]>): void {
  const isIn = (hooks: readonly number[]) => type === "nat" && hooks.includes(number);
  if (expression.name === "masq" && !isIn([NF_INET_POST_ROUTING])) throw new Refused("EOPNOTSUPP");
  if (expression.name === "redir" && !isIn(DESTINATION_HOOKS)) throw new Refused("EOPNOTSUPP");
  if (expression.name === "nat" && !isIn(expression.data?.type === 1 ? DESTINATION_HOOKS : SOURCE_HOOKS)) {
    throw new Refused("EOPNOTSUPP");
  }
  if (expression.name !== "target") return;
  const hooks = TRANSLATING[expression.data?.name ?? ""];
  if (hooks !== undefined && !isIn(hooks)) throw new Refused("EINVAL");
}

/** The order in which the kernel lists an expression's attributes, and those that it adds. */
const LISTED: Readonly<
  Record<string, { order: readonly string[]; added?: (data: Record<string, unknown>) => object }>
> = {
  bitwise: { order: ["source", "destination", "length", "operation", "mask", "xor"], added: () => ({ operation: 0 }) },
  cmp: { order: ["source", "operator", "data"] },
  counter: { order: ["bytes", "packets"], added: () => ({ bytes: 0n, packets: 0n }) },
  ct: { order: ["key", "destination", "source", "direction"] },
  fib: { order: ["destination", "result", "flags"] },
  immediate: { order: ["destination", "data"] },
  lookup: { order: ["set", "source", "destination", "flags"], added: () => ({ flags: 0 }) },
  match: { order: ["name", "revision", "info"] },
  meta: { order: ["key", "destination", "source"] },
  nat: {
    order: ["type", "family", "addressMin", "addressMax", "portMin", "portMax", "flags"],
    added: ({ addressMin, portMin }) => ({
      ...(addressMin !== undefined && { addressMax: addressMin }),
      ...(portMin !== undefined && { portMax: portMin }),
    }),
  },
  payload: { order: ["destination", "base", "offset", "length"] },
  range: { order: ["source", "operator", "from", "to"] },
  target: { order: ["name", "revision", "info"] },
};

/** Returns an expression as the kernel lists it. */
function normalized(expression: Expression): Expression {
  const listed = LISTED[expression.name ?? ""];
  const given = expression.data as Record<string, unknown> | undefined;
  if (listed === undefined || given === undefined) return expression;
  const all: Record<string, unknown> = { ...listed.added?.(given), ...given };
  const keys = [
    ...listed.order.filter((key) => key in all),
    ...Object.keys(all).filter((key) => !listed.order.includes(key)),
  ];
  const data = Object.fromEntries(keys.map((key) => [key, all[key]]));
  return { ...expression, data } as Expression;
}

function deleteRule(draft: Draft, frame: Nlmsg): void {
  const { family, table: tableName, chain: chainName, handle, id } = decode(ruleMessage, frame.body);
  const table = tableIn(draft.tables, family, tableName);
  if (id !== undefined || chainName === undefined) throw new NotSimulated("rules by ID or of a whole table");
  const chain = chainIn(table, chainName);
  const gone = handle === undefined ? undefined : ruleIn(chain, handle);
  if (chain.rules.length > 0) draft.isChanged = true;
  chain.rules = gone === undefined ? [] : chain.rules.filter((rule) => rule !== gone);
}

// --- Sets --------------------------------------------------------------------------------------------------------------------------------

function newSet(draft: Draft, frame: Nlmsg): void {
  const message = decode(setMessage, frame.body);
  const { name, keyLength, id, flags = 0, dataLength } = message;
  if (message.table === undefined || name === undefined || keyLength === undefined || id === undefined) {
    throw new Refused("EINVAL");
  }
  if ((flags & ~(NFT_SET_MAP | NFT_SET_CONSTANT)) !== 0 || name.includes("%") || message.timeoutMs !== undefined) {
    throw new NotSimulated(`sets with flags 0x${flags.toString(16)}, and anonymous ones`);
  }
  const isMap = (flags & NFT_SET_MAP) !== 0;
  if (isMap !== (message.dataType !== undefined)) throw new Refused("EINVAL");
  if (keyLength === 0 || keyLength > 64 || (isMap && dataLength === undefined)) throw new Refused("EINVAL");
  const table = tableIn(draft.tables, message.family, message.table);
  const existing = table.sets.get(name);
  draft.isChanged = true;
  if (existing === undefined) {
    if (!(frame.flags & NLM_F_CREATE)) throw new Refused("ENOENT");
    table.sets.set(name, { handle: newHandle(table), message, elements: new Map() });
    return;
  }
  refuseExisting(frame);
  const isSame = (["keyType", "keyLength", "dataType", "dataLength"] as const).every(
    (key) => existing.message[key] === message[key],
  );
  if (!isSame || (existing.message.flags ?? 0) !== flags) throw new Refused("EEXIST");
}

function deleteSet(draft: Draft, frame: Nlmsg): void {
  const { family, table: tableName, name } = decode(setMessage, frame.body);
  const table = tableIn(draft.tables, family, tableName);
  const set = setIn(table, name);
  const rules = [...table.chains.values()].flatMap(({ rules }) => rules);
  const isUsed = rules.some(({ expressions }) =>
    expressions.some((one) => one.name === "lookup" && one.data?.set === name),
  );
  if (isUsed || (frame.flags & NLM_F_NONREC && set.elements.size > 0)) throw new Refused("EBUSY");
  table.sets.delete(name ?? "");
  draft.isChanged = true;
}

// --- Elements ----------------------------------------------------------------------------------------------------------------------------

function elementsOf(
  tables: FakeRuleset,
  { family, table: tableName, set: setName, setId }: ElementMessage,
): { table: FakeTable; set: FakeSet } {
  if (setId !== undefined) throw new NotSimulated("sets by ID");
  const table = tableIn(tables, family, tableName);
  return { table, set: setIn(table, setName) };
}

function keyOf({ message }: FakeSet, { key, keyEnd, flags = 0, timeoutMs }: SetElement): string {
  if (flags !== 0 || keyEnd !== undefined || timeoutMs !== undefined) throw new NotSimulated("intervals and timeouts");
  if (key?.value === undefined || key.value.length !== message.keyLength) throw new Refused("EINVAL");
  return hex(key.value);
}

function newElements(draft: Draft, frame: Nlmsg): void {
  const message = decode(elementMessage, frame.body);
  const { table, set } = elementsOf(draft.tables, message);
  if (message.elements === undefined) throw new Refused("EINVAL");
  const isMap = ((set.message.flags ?? 0) & NFT_SET_MAP) !== 0;
  const elements = new Map(set.elements);
  for (const element of message.elements) {
    const key = keyOf(set, element);
    if (isMap !== (element.data !== undefined)) throw new Refused("EINVAL");
    const value = element.data?.value;
    if (value !== undefined && value.length !== set.message.dataLength) throw new Refused("EINVAL");
    for (const target of jumpOfElement(element)) chainIn(table, target);
    const existing = elements.get(key);
    if (existing !== undefined) {
      if (frame.flags & NLM_F_EXCL || hex(existing.data?.value ?? NOTHING) !== hex(value ?? NOTHING)) {
        throw new Refused("EEXIST");
      }
      continue;
    }
    elements.set(key, element);
    draft.isChanged = true;
  }
  set.elements = elements;
  checkReachable(table);
}
const NOTHING = new Uint8Array();

function deleteElements(draft: Draft, frame: Nlmsg): void {
  const message = decode(elementMessage, frame.body);
  const { set } = elementsOf(draft.tables, message);
  const elements = new Map(set.elements);
  if (message.elements === undefined) elements.clear();
  for (const element of message.elements ?? []) {
    if (!elements.delete(keyOf(set, element))) throw new Refused("ENOENT");
  }
  if (elements.size < set.elements.size) draft.isChanged = true;
  set.elements = elements;
}

/** Returns the elements in an order that looks random but is the same each time. */
const inHashOrder = ({ elements }: FakeSet): SetElement[] =>
  [...elements]
    .sort(([one], [other]) => hashOf(one) - hashOf(other) || (one < other ? -1 : 1))
    .map(([, element]) => element);

const hashOf = (key: string): number =>
  [...key].reduce((hash, char) => (Math.imul(hash, 31) + char.charCodeAt(0)) | 0, 7) >>> 3;

// --- Messages ----------------------------------------------------------------------------------------------------------------------------

/** Returns a handler that is content when the object does not exist. */
const destroying =
  (perform: Handler["perform"]): Handler["perform"] =>
  (draft, frame) => {
    try {
      perform(draft, frame);
    } catch (error) {
      if (!(error instanceof Refused && error.errno === "ENOENT")) throw error;
    }
  };

const changes: Readonly<Record<number, Handler>> = {
  [NFT_MSG_NEWTABLE]: { name: "NFT_MSG_NEWTABLE", table: tableMessage, perform: newTable },
  [NFT_MSG_DELTABLE]: { name: "NFT_MSG_DELTABLE", table: tableMessage, perform: deleteTable },
  [NFT_MSG_DESTROYTABLE]: { name: "NFT_MSG_DESTROYTABLE", table: tableMessage, perform: destroying(deleteTable) },
  [NFT_MSG_NEWCHAIN]: { name: "NFT_MSG_NEWCHAIN", table: chainMessage, perform: newChain },
  [NFT_MSG_DELCHAIN]: { name: "NFT_MSG_DELCHAIN", table: chainMessage, perform: deleteChain },
  [NFT_MSG_DESTROYCHAIN]: { name: "NFT_MSG_DESTROYCHAIN", table: chainMessage, perform: destroying(deleteChain) },
  [NFT_MSG_NEWRULE]: { name: "NFT_MSG_NEWRULE", table: ruleMessage, perform: newRule },
  [NFT_MSG_DELRULE]: { name: "NFT_MSG_DELRULE", table: ruleMessage, perform: deleteRule },
  [NFT_MSG_DESTROYRULE]: { name: "NFT_MSG_DESTROYRULE", table: ruleMessage, perform: destroying(deleteRule) },
  [NFT_MSG_NEWSET]: { name: "NFT_MSG_NEWSET", table: setMessage, perform: newSet },
  [NFT_MSG_DELSET]: { name: "NFT_MSG_DELSET", table: setMessage, perform: deleteSet },
  [NFT_MSG_DESTROYSET]: { name: "NFT_MSG_DESTROYSET", table: setMessage, perform: destroying(deleteSet) },
  [NFT_MSG_NEWSETELEM]: { name: "NFT_MSG_NEWSETELEM", table: elementMessage, perform: newElements },
  [NFT_MSG_DELSETELEM]: { name: "NFT_MSG_DELSETELEM", table: elementMessage, perform: deleteElements },
  [NFT_MSG_DESTROYSETELEM]: {
    name: "NFT_MSG_DESTROYSETELEM",
    table: elementMessage,
    perform: destroying(deleteElements),
  },
};

interface Query {
  name: string;
  table: AnyWire;
  answer(frame: Nlmsg, tables: FakeRuleset, kernel: FakeNetfilter): Uint8Array[];
}

const ofFamily = (tables: FakeRuleset, family: number): FakeTable[] =>
  [...tables.values()].filter((table) => family === NFPROTO_UNSPEC || table.family === family);

const header = ({ family }: FakeTable, { generation }: FakeNetfilter) => ({ family, resource: generation & 0xffff });

const queries: Readonly<Record<number, Query>> = {
  [NFT_MSG_GETGEN]: {
    name: "NFT_MSG_GETGEN",
    table: generationMessage,
    answer: (frame, _, { generation }) => [
      answer(frame, NFT_MSG_NEWGEN, generationMessage, {
        resource: generation & 0xffff,
        id: generation,
        processId: 1,
        processName: "fake",
      }),
    ],
  },
  [NFT_MSG_GETTABLE]: {
    name: "NFT_MSG_GETTABLE",
    table: tableMessage,
    answer(frame, tables, kernel) {
      const { family, name } = decode(tableMessage, frame.body);
      const found = isDump(frame) ? ofFamily(tables, family) : [tableIn(tables, family, name)];
      return found.map((table) =>
        answer(frame, NFT_MSG_NEWTABLE, tableMessage, {
          ...header(table, kernel),
          name: table.name,
          flags: 0,
          uses: table.chains.size + table.sets.size,
          handle: table.handle,
          userdata: table.userdata,
        }),
      );
    },
  },
  [NFT_MSG_GETCHAIN]: {
    name: "NFT_MSG_GETCHAIN",
    table: chainMessage,
    answer(frame, tables, kernel) {
      const { family, table: tableName, name } = decode(chainMessage, frame.body);
      const answerFor = (table: FakeTable, chain: FakeChain) => chainAnswer(frame, table, chain, kernel);
      if (isDump(frame)) {
        return ofFamily(tables, family).flatMap((table) =>
          [...table.chains.values()].map((one) => answerFor(table, one)),
        );
      }
      const table = tableIn(tables, family, tableName);
      return [answerFor(table, chainIn(table, name))];
    },
  },
  [NFT_MSG_GETRULE]: {
    name: "NFT_MSG_GETRULE",
    table: ruleMessage,
    answer(frame, tables, kernel) {
      const { family, table: tableName, chain: chainName, handle } = decode(ruleMessage, frame.body);
      if (!isDump(frame)) {
        const table = tableIn(tables, family, tableName);
        const chain = chainIn(table, chainName);
        return [ruleAnswer(frame, table, chain, ruleIn(chain, handle), kernel)];
      }
      return ofFamily(tables, family)
        .filter(({ name }) => tableName === undefined || name === tableName)
        .flatMap((table) =>
          [...table.chains.values()]
            .filter(({ name }) => chainName === undefined || name === chainName)
            .flatMap((chain) => chain.rules.map((rule) => ruleAnswer(frame, table, chain, rule, kernel))),
        );
    },
  },
  [NFT_MSG_GETSET]: {
    name: "NFT_MSG_GETSET",
    table: setMessage,
    answer(frame, tables, kernel) {
      const { family, table: tableName, name } = decode(setMessage, frame.body);
      const answerFor = (table: FakeTable, { message, handle }: FakeSet) =>
        answer(frame, NFT_MSG_NEWSET, setMessage, { ...message, id: undefined, ...header(table, kernel), handle });
      if (!isDump(frame)) {
        const table = tableIn(tables, family, tableName);
        return [answerFor(table, setIn(table, name))];
      }
      const found = tableName === undefined ? ofFamily(tables, family) : [tableIn(tables, family, tableName)];
      return found.flatMap((table) => [...table.sets.values()].map((set) => answerFor(table, set)));
    },
  },
  [NFT_MSG_GETSETELEM]: {
    name: "NFT_MSG_GETSETELEM",
    table: elementMessage,
    answer(frame, tables, kernel) {
      const message = decode(elementMessage, frame.body);
      const { table, set } = elementsOf(tables, message);
      const answerFor = (elements: readonly SetElement[]) =>
        answer(frame, NFT_MSG_NEWSETELEM, elementMessage, {
          ...header(table, kernel),
          table: table.name,
          set: message.set,
          elements: elements.map(({ key, data, ...more }) => ({ key, ...(data && { data }), ...more })),
        });
      if (isDump(frame)) return chunks(inHashOrder(set)).map(answerFor);
      if (message.elements === undefined) throw new Refused("EINVAL");
      return message.elements.map((wanted) => {
        const found = set.elements.get(keyOf(set, wanted));
        if (found === undefined) throw new Refused("ENOENT");
        return answerFor([found]);
      });
    },
  },
  [NFNL_MSG_COMPAT_GET]: {
    name: "NFNL_MSG_COMPAT_GET",
    table: compatMessage,
    answer(frame, _, { lacking }) {
      const { name = "", revision = 0, type = COMPAT_MATCH, family } = decode(compatMessage, frame.body);
      if (lacking.has(name)) throw new Refused("ENOENT");
      return [answer(frame, NFNL_MSG_COMPAT_GET, compatMessage, { family, name, revision, type })];
    },
  },
};

/** A message of a dump holds as many elements as fit into its datagram; a list holds at most 64 kB. */
const ELEMENTS_PER_MESSAGE = 100;
const chunks = (elements: readonly SetElement[]): SetElement[][] =>
  Array.from({ length: Math.ceil(elements.length / ELEMENTS_PER_MESSAGE) }, (_, i) =>
    elements.slice(i * ELEMENTS_PER_MESSAGE, (i + 1) * ELEMENTS_PER_MESSAGE),
  );

function chainAnswer(
  frame: Nlmsg,
  table: FakeTable,
  { name, handle, base, userdata, rules }: FakeChain,
  kernel: FakeNetfilter,
): Uint8Array {
  return answer(frame, NFT_MSG_NEWCHAIN, chainMessage, {
    ...header(table, kernel),
    table: table.name,
    name,
    handle,
    ...(base && {
      hook: { number: base.number, priority: base.priority },
      policy: base.policy,
      type: base.type,
      flags: 1,
    }),
    uses: rules.length + usesOf(table, name),
    userdata,
  });
}

function ruleAnswer(
  frame: Nlmsg,
  table: FakeTable,
  { name, rules }: FakeChain,
  rule: FakeRule,
  kernel: FakeNetfilter,
): Uint8Array {
  const before = rules[rules.indexOf(rule) - 1];
  return answer(frame, NFT_MSG_NEWRULE, ruleMessage, {
    ...header(table, kernel),
    table: table.name,
    chain: name,
    handle: rule.handle,
    ...(before && { position: before.handle }),
    expressions: rule.expressions as readonly ExpressionRequest[],
    userdata: rule.userdata,
  });
}
