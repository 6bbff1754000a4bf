// Restores rules that another program changes as soon as that happens: the kernel reports every change of nf_tables. Legacy iptables
// reports none, and is checked periodically.

import { NFNLGRP_NFTABLES_BIT, watchNetlink } from "../../cluster/event-loop/netlink-watch.ts";
import type { Log } from "../../cluster/log/log.ts";
import { NETLINK_NETFILTER } from "../../netlink/connection.ts";
import type { Frame } from "../../netlink/frame.ts";
import { NFT_MSG_DELCHAIN, NFT_MSG_NEWCHAIN } from "../../netlink/nftables/chain.ts";
import { NFT_MSG_DELRULE, NFT_MSG_NEWRULE } from "../../netlink/nftables/rule.ts";
import { NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE } from "../../netlink/nftables/table.ts";
import { complainer } from "./complaint.ts";
import { newPace, type Pace } from "./pace.ts";
import type { Traffic } from "./rules.ts";

export interface ReconcileOptions {
  /** The period of checks without a reported change. */
  resyncMs: number;
  log: Log;
  /** Called with the number of chains after each repair. */
  repaired(count: number): void;
}

/** Keeps the rules correct; failures are logged and tried again. @returns ends it */
export function startReconcile(traffic: Traffic, { resyncMs, log, repaired }: ReconcileOptions): () => void {
  const pace = newPace({ longestMs: resyncMs });
  const complain = complainer(log, "the rules of the pod network cannot be kept right: tried again");
  let next: NodeJS.Timeout | undefined;

  const look = () => {
    clearTimeout(next);
    next = undefined;
    const changed = complain(() => traffic.ensure()) ?? 0;
    pace.looked(performance.now(), { repaired: changed > 0 });
    if (changed === 0) return;
    tell(log, pace, changed);
    repaired(changed);
  };
  const lookSoon = () => {
    clearTimeout(next);
    next = setTimeout(look, pace.waitMs(performance.now()));
  };

  const watching = watchNetlink(NETLINK_NETFILTER, NFNLGRP_NFTABLES_BIT, {
    messages: (frames) => frames.some(concernsRules) && lookSoon(),
    overflowed: lookSoon,
  });
  lookSoon(); // for changes before the watch began, which were not reported
  const resync = setInterval(look, resyncMs);
  return () => {
    watching.stop();
    clearInterval(resync);
    clearTimeout(next);
  };
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
const concernsRules = ({ type }: Frame): boolean => RULES.has(type);

function tell(log: Log, pace: Pace, chains: number): void {
  log.info("rules of the pod network had been changed by somebody else and were restored", { chains });
  if (!pace.becameFight()) return;
  log.warn(
    "somebody keeps changing the rules of the pod network: they are restored at growing intervals; `nft monitor` and `iptables -t nat -S` tell who it may be",
  );
}
