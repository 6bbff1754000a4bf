// The nft variant of iptables without its programs: reads and writes the rules in nf_tables directly. iptables (-S, -C, -D, -save) handles
// them like its own. A transaction takes 20 to 250 us, a run of iptables 1.5 to 4 ms.

import type { Connection, Request } from "../../netlink/connection.ts";
import { NetlinkError, request } from "../../netlink/connection.ts";
import { decode } from "../../netlink/message.ts";
import { COMPAT_MATCH, COMPAT_TARGET, compatMessage, NFNL_MSG_COMPAT_GET } from "../../netlink/nftables/compat.ts";
import { ruleMessage } from "../../netlink/nftables/rule.ts";
import { isErrno } from "../../sys/errno.ts";
import { nfproto } from "../family.ts";
import {
  type ChainRef,
  deleteChain,
  deleteRule,
  existing,
  findRules,
  findRulesByKey,
  flushChain,
  handleOf,
  listChains,
  newChain,
  newRule,
  newTable,
} from "../nftables/ruleset.ts";
import { type Attempt, commit, edit } from "../nftables/transaction.ts";
import { jumpTo } from "../nftables/verdict.ts";
import { hookOf } from "./base-chain.ts";
import { type CanonicalRule, decodeRuleMessage, jumpsTo } from "./canonical.ts";
import { compatFor, encodeRule } from "./encode.ts";
import { locked } from "./lock.ts";
import type { Chain, Rule } from "./rule.ts";
import { allOf, type Change, type FoundRule, missing, type View, type Wanted } from "./ruleset.ts";
import { type AnyExtension, matches, targets } from "./xtables.ts";

/** Adds the rules that are missing. */
export function ensureRules(netfilter: Connection, wanted: readonly Wanted[]): void {
  if (standAlone(wanted) && addedUnseen(netfilter, wanted)) return;
  editRules(netfilter, (view) => missing(view, wanted));
}

/**
 * Reports whether all rules are in user-defined chains among those wanted, or jump to them. If those chains do not exist, none of the rules
 * can: nothing has to be read, and the chains can be created on the condition that they are new.
 */
function standAlone(wanted: readonly Wanted[]): boolean {
  const own = new Set(
    wanted.filter(({ table, chain }) => hookOf(table, chain) === undefined).map(({ chain }) => chain),
  );
  return wanted.every(
    ({ chain, rules }) =>
      own.has(chain) ||
      rules.every(({ target }) => typeof target === "object" && "jump" in target && own.has(target.jump)),
  );
}

/**
 * Adds everything without reading first.
 *
 * @returns false: something exists already, or a table or base chain is missing. The refusal costs the kernel 5 to 15 ms, but is very rare.
 */
function addedUnseen(netfilter: Connection, wanted: readonly Wanted[]): boolean {
  const changes = allOf(wanted).filter((change) => !("make" in change && hookOf(change.make.table, change.make.chain)));
  try {
    commit(
      netfilter,
      changes.flatMap((change) =>
        "make" in change ? newChain(placeOf(change.make), { exclusive: true }) : requestsFor(change),
      ),
    );
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST", "ENOENT", "EPROTONOSUPPORT", "EOPNOTSUPP")) return false;
    throw error;
  }
}

/**
 * Reads and changes the ruleset; starts again when it was changed in between.
 *
 * @param work Called once per attempt; returns no changes when there is nothing to do.
 */
export function editRules(netfilter: Connection, work: (view: View) => readonly Change[]): void {
  const plan = () => {
    const changes = work(viewOf(netfilter));
    return { requests: changes.flatMap(requestsFor), changes };
  };
  locked(() =>
    edit(netfilter, plan, { again: (error, { changes }) => loadedMissingExtensions(netfilter, error, changes) }),
  );
}

/**
 * Reads and makes changes that only delete. They name their objects by handle, so only others that delete the same matter: no lock is
 * needed and no generation. A chain that a foreign rule jumps to is emptied and stays.
 */
export function deleteRules(netfilter: Connection, work: (view: View) => readonly Change[]): void {
  const plan = ({ isLast }: Attempt) => {
    const changes = work(viewOf(netfilter));
    const deletion = (change: Change) =>
      isLast && "drop" in change ? flushChain(placeOf(change.drop)) : requestsFor(change);
    return { requests: changes.flatMap(deletion) };
  };
  edit(netfilter, plan, { bound: false });
}

/** Loads the extensions of the added rules when the refusal may mean that one is missing. @returns whether it did */
function loadedMissingExtensions(netfilter: Connection, error: unknown, changes: readonly Change[]): boolean {
  if (!lacksExtension(error)) return false;
  for (const change of changes) if ("add" in change) loadExtensions(netfilter, change.to, change.add);
  return true;
}

const lacksExtension = (error: unknown): boolean =>
  error instanceof NetlinkError &&
  error.request === "NFT_MSG_NEWRULE" &&
  isErrno(error, "ENOENT", "EPROTONOSUPPORT", "EOPNOTSUPP");

/**
 * Makes the kernel load the modules of the rule's extensions, as iptables does before it uses them.
 *
 * @throws NetlinkError there is no such module
 */
function loadExtensions(netfilter: Connection, { family }: Chain, { matches: used = [], target }: Rule): void {
  for (const { name } of used) netfilter.request(askFor(family, name, matches[name], COMPAT_MATCH));
  if (typeof target === "object" && "name" in target) {
    netfilter.request(askFor(family, target.name, targets[family][target.name], COMPAT_TARGET));
  }
}

function askFor(family: Chain["family"], name: string, { revision }: AnyExtension, type: number): Request {
  return request({
    name: `NFNL_MSG_COMPAT_GET ${name}`,
    type: NFNL_MSG_COMPAT_GET,
    table: compatMessage,
    value: { family: nfproto[family], name, revision, type },
  });
}

const placeOf = ({ family, table, chain }: Chain): ChainRef => ({ family: nfproto[family], table, chain });

function requestsFor(change: Change): Request[] {
  if ("make" in change) {
    const place = placeOf(change.make);
    return [newTable(place), newChain(place, { hook: hookOf(change.make.table, change.make.chain) })];
  }
  if ("delete" in change) return [deleteRule(placeOf(change.delete.chain), change.delete.id as bigint)];
  if ("drop" in change) return [deleteChain(placeOf(change.drop))];
  const { add, to, at } = change;
  return [newRule(placeOf(to), { expressions: encodeRule(to.family, add), compat: compatFor(add), at })];
}

/** Returns a view of the ruleset that reads nothing twice, and does not ask for a chain of which it has read a rule. */
function viewOf(netfilter: Connection): View {
  const known = new Map<string, FoundRule[]>();
  const presence = new Map<string, boolean>();
  const nameOf = ({ family, table, chain }: Chain) => `${family} ${table} ${chain}`;
  return {
    present(chains) {
      const asked = chains.filter((chain) => !presence.has(nameOf(chain)));
      if (asked.length > 0)
        existing(netfilter, asked.map(placeOf)).forEach((isThere, i) => {
          presence.set(nameOf(asked[i] as Chain), isThere);
        });
      return chains.map((chain) => presence.get(nameOf(chain)) === true);
    },
    rules(chain, containing) {
      const key = `${nameOf(chain)} ${containing}`;
      let found = known.get(key);
      if (found === undefined) {
        found = findRules(netfilter, placeOf(chain), containing).map((body) => foundRule(chain, body));
        known.set(key, found);
        if (found.length > 0) presence.set(nameOf(chain), true);
      }
      return found;
    },
    rulesByKey: (chain, keysOf, keys) =>
      findRulesByKey(netfilter, placeOf(chain), keysOf, keys).map((body) => foundRule(chain, body)),
    jumps: (from, to) =>
      findRules(netfilter, placeOf(from), to)
        .map((body) => ({ body, rule: foundRule(from, body) }))
        .filter(({ body, rule }) => endsWithJump(body, to) || jumpsTo(rule.canonicalForm, to))
        .map(({ rule }) => rule),
    chains: ({ family, table }) =>
      listChains(netfilter, nfproto[family]).flatMap((chain) =>
        chain.table === table && chain.name !== undefined ? [chain.name] : [],
      ),
  };
}

/** Returns a rule that is decoded only when its canonical form is used: that takes 40 us, the first time 140. */
function foundRule(chain: Chain, body: Uint8Array): FoundRule {
  let read: { canonicalForm: CanonicalRule | undefined } | undefined;
  return {
    chain,
    body,
    get id() {
      return handleOf(body);
    },
    get canonicalForm() {
      read ??= { canonicalForm: decodeRuleMessage(chain.family, decode(ruleMessage, body)) };
      return read.canonicalForm;
    },
  };
}

/** Reports whether the rule ends with a jump to the chain, as in rules of all releases but 1.8.2, which puts the comment behind it. */
function endsWithJump(body: Uint8Array, chain: string): boolean {
  const verdict = jumpTo(chain).subarray(-(VERDICT_CODE_SIZE + ((4 + chain.length + 1 + 3) & ~3)));
  const from = body.length - verdict.length;
  return verdict.every((byte, i) => body[from + i] === byte);
}
/** The size of NFTA_VERDICT_CODE: header and number. */
const VERDICT_CODE_SIZE = 8;
