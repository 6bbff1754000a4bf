/**
 * Restores rules that another program changes as soon as that happens: the kernel reports every change of nf_tables. Legacy iptables
 * reports none, and is checked periodically.
 */

import { NFNLGRP_NFTABLES_BIT, watchNetlink } from "../../cluster/event-loop/netlink-watch.ts";
import {
  type PassOutcome,
  type ReconcileLoop,
  type ReconcileOptions,
  startReconcileLoop,
} from "../../cluster/event-loop/reconcile-loop.ts";
import type { Log } from "../../cluster/log/log.ts";
import { failureOf } from "../../cni/error.ts";
import { NETLINK_NETFILTER } from "../../netlink/connection.ts";
import { NFT_MSG_DELCHAIN, NFT_MSG_NEWCHAIN } from "../../netlink/nftables/chain.ts";
import { NFT_MSG_DELRULE, NFT_MSG_NEWRULE } from "../../netlink/nftables/rule.ts";
import { NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE } from "../../netlink/nftables/table.ts";
import type { Nlmsg } from "../../netlink/nlmsg.ts";
import type { Traffic } from "./rules.ts";

export interface RulesLoopOptions {
  /** The period of checks without a reported change. */
  resyncMs: number;
  log: Log;
  /** Called with the number of chains after each repair. */
  repaired(count: number): void;
  passed?(outcome: PassOutcome, seconds: number): void;
}

/** A burst of changes has ended after a tenth of a second; a second after the first one the rules are checked in any case. */
const DEBOUNCE = { quietMs: 100, latestMs: 1000 };

/** Keeps the rules correct; failures are logged and tried again. */
export function startRulesLoop(
  traffic: Traffic,
  options: RulesLoopOptions,
  { watch, clock }: Partial<Pick<ReconcileOptions, "watch" | "clock">> = {},
): ReconcileLoop {
  const { resyncMs, log, repaired, passed } = options;
  const loop = startReconcileLoop({
    debounce: DEBOUNCE,
    resyncMs,
    longestPauseMs: resyncMs,
    longestRetryMs: resyncMs,
    watch: watch ?? ((handler) => watchNetlink(NETLINK_NETFILTER, NFNLGRP_NFTABLES_BIT, handler)),
    isRelevant: concernsRules,
    reconcile() {
      const chains = traffic.ensure();
      if (chains > 0) {
        log.info("repaired rules of the pod network that another process had changed", { chains });
        repaired(chains);
      }
      return { repaired: chains };
    },
    failed: (error) =>
      log.error("cannot maintain the rules of the pod network: retrying", { error: failureOf(error).message }),
    undone: () =>
      log.warn(
        "another process keeps changing the rules of the pod network: they are restored at increasing intervals. To find it: `nft monitor` shows each change",
      ),
    ...(passed && { passed }),
    ...(clock && { clock }),
  });
  loop.ask(); // for changes before the watch began, which were not reported
  return loop;
}

const RULES = new Set([
  NFT_MSG_NEWTABLE,
  NFT_MSG_DELTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_DELCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_DELRULE,
]);
/** Reports whether a message is about rules; sets and their elements, which kube-proxy and others change all the time, are not. */
const concernsRules = ({ type }: Nlmsg): boolean => RULES.has(type);
