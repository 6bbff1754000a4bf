// Transactions of nf_tables. `edit` makes one that depends on what was read, and plans it again when another process was faster.
//
// A transaction can name the generation of the ruleset on which it was planned; the kernel refuses it with ERESTART when there has been any
// change in the network namespace since, by anybody. So the refusals are of two kinds, which are counted apart:
//
// - ERESTART says nothing about the plan. On a node where kube-proxy, Docker or a hundred plugins at once change rules it may come dozens of
//   times in a row (measured with eight writers: 36), so there are many attempts. The last one is made without the generation:
//   at worst a rule is there twice, which is better than a container that cannot start.
// - ENOENT, EEXIST and EBUSY say that an object of the plan is gone, is there already, or is in use by now. Where the transaction does not
//   name a generation another process was faster. Where it does, the plan was read in the moment between the kernel's raising the generation
//   and its showing the new content. Either is over after one or two attempts; what comes four times is a plan that the kernel will never
//   accept, such as the deletion of a chain that a foreign rule jumps to, and each refusal of a deletion costs it 5 to 15 ms.
//
// Anything else is thrown at once. EAGAIN never comes from a transaction, which the kernel repeats by itself after it has loaded a module; it
// comes from `dump`, which has made its own attempts.

import { type Connection, query, type Request, request } from "../../netlink/connection.ts";
import { batchMessage, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END } from "../../netlink/nftables/batch.ts";
import { generationMessage, NFT_MSG_GETGEN } from "../../netlink/nftables/generation.ts";
import { NFNL_SUBSYS_NFTABLES } from "../../netlink/nftables/header.ts";
import { isErrno } from "../../sys/errno.ts";
import { NOT_THERE } from "./ruleset.ts";
import { RulesetSeries } from "./ruleset-series.ts";

/** The number of times that a plan is made again after ERESTART. */
const RESTARTS = 49;
/** The number of times that a plan is made again after one of `CONFLICTS`. */
const CONFLICT_RETRIES = 3;
const CONFLICTS = ["ENOENT", "EEXIST", "EBUSY"] as const;

/** A planned transaction, with whatever else the caller wants to know of the plan that was committed. */
export interface Plan {
  /** None when there is nothing to do. */
  requests: readonly Request[];
}

/** The state of `edit` when it asks for a plan. */
export interface Attempt {
  /** The number of conflicts (ENOENT, EEXIST, EBUSY) that there have been. */
  conflicts: number;
  /** Whether a further conflict will be thrown. */
  isLast: boolean;
}

export interface EditOptions<P> {
  /**
   * Whether the transaction names the generation on which it was planned, by default always. `false` is for plans that are right whatever
   * others change, such as deletions of objects by handle or by a name that only the owner uses; a function decides for each plan.
   */
  bound?: boolean | ((plan: P) => boolean);
  /** `false`: also the last attempt names the generation, since an outdated plan would take away what belongs to somebody else by now. */
  lastUnbound?: boolean;
  /** Does something about the cause of an error, so that the next attempt may succeed. @returns whether it did: counts as a conflict */
  again?: (error: unknown, plan: P) => boolean;
}

/**
 * Plans a transaction and commits it; plans again when another process was faster, as described above.
 *
 * @param plan Reads the ruleset and decides; called once for each attempt.
 * @returns the plan that was committed
 * @throws NetlinkError the kernel refuses
 */
export function edit<P extends Plan>(
  netfilter: Connection,
  plan: (attempt: Attempt) => P,
  { bound = true, lastUnbound = true, again = () => false }: EditOptions<P> = {},
): P {
  const series = netfilter instanceof RulesetSeries ? netfilter : undefined;
  for (let restarts = 0, conflicts = 0; ; ) {
    const isBound = bound !== false && !(lastUnbound && restarts === RESTARTS);
    const ruleset = isBound ? generation(netfilter) : series && findGeneration(series); // before anything is read
    const attempt = { conflicts, isLast: conflicts === CONFLICT_RETRIES };
    const planned = series === undefined ? plan(attempt) : series.planned(ruleset, () => plan(attempt));
    const named = !isBound || (typeof bound === "function" && !bound(planned)) ? undefined : ruleset;
    try {
      commit(netfilter, planned.requests, named);
      series?.committed(planned.requests);
      return planned;
    } catch (error) {
      series?.forget();
      if (isErrno(error, "ERESTART") && restarts < RESTARTS) restarts++;
      else if (conflicts < CONFLICT_RETRIES && (again(error, planned) || isErrno(error, ...CONFLICTS))) conflicts++;
      else throw error;
    }
  }
}

/**
 * Commits the requests as one transaction. Sends nothing when there are none.
 *
 * @param generation The generation that the ruleset must still have.
 * @throws NetlinkError the first refusal; ERESTART: the ruleset was changed
 */
export function commit(netfilter: Connection, requests: readonly Request[], generation?: number): void {
  if (requests.length === 0) return;
  netfilter.transact({ begin: generation === undefined ? begin : beginAt(generation), requests, end });
}

const begin = request({
  name: "NFNL_MSG_BATCH_BEGIN",
  type: NFNL_MSG_BATCH_BEGIN,
  table: batchMessage,
  value: { resource: NFNL_SUBSYS_NFTABLES },
});
const end = request({ ...begin, name: "NFNL_MSG_BATCH_END", type: NFNL_MSG_BATCH_END });

const beginAt = (generation: number): Request =>
  request({ ...begin, value: { resource: NFNL_SUBSYS_NFTABLES, generation } });

/** Returns the generation of the ruleset; undefined from a kernel without nf_tables, where nothing is there to be deleted either. */
function findGeneration(netfilter: Connection): number | undefined {
  try {
    return generation(netfilter);
  } catch (error) {
    if (isErrno(error, ...NOT_THERE)) return undefined;
    throw error;
  }
}

/** Returns the generation of the ruleset, which every change in the network namespace increases. */
export function generation(netfilter: Connection): number {
  const { id } = netfilter.get(
    query({ name: "NFT_MSG_GETGEN", type: NFT_MSG_GETGEN, table: generationMessage, value: {} }),
  );
  return id ?? 0;
}
