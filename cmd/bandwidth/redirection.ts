/**
 * Redirects the packets that a link receives to another link, where they can be limited: `tc qdisc add dev <link> ingress; tc
 * filter add dev <link> parent ffff: prio 1 protocol all u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev <target>`.
 *
 * Other programs attach filters to the same hook, as network policies do, with "clsact" instead of "ingress". Then our filter comes
 * after theirs, since a redirected packet passes no other filter.
 */
import type { Link } from "../../pkg/link/link.ts";
import { type Connection, type NetlinkError, query, type Request, request } from "../../pkg/netlink/connection.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../pkg/netlink/nlmsg.ts";
import { TC_ACT_STOLEN, TCA_EGRESS_REDIR } from "../../pkg/netlink/rtnetlink/filter/action.ts";
import { TC_U32_TERMINAL } from "../../pkg/netlink/rtnetlink/filter/u32.ts";
import {
  ETH_P_ALL,
  type FilterMessage,
  filterMessage,
  RTM_DELTFILTER,
  RTM_GETTFILTER,
  RTM_NEWTFILTER,
} from "../../pkg/netlink/rtnetlink/filter.ts";
import {
  qdiscMessage,
  RTM_DELQDISC,
  RTM_NEWQDISC,
  TC_H_INGRESS,
  TC_H_MIN_INGRESS,
} from "../../pkg/netlink/rtnetlink/qdisc.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { listAllQdiscs, listQdiscs, refusedTrafficControl } from "./traffic-control.ts";

const HANDLE = 0xffff0000; // ffff:
/** The parent of filters on both "ingress" and "clsact". */
const FILTERS = (HANDLE | TC_H_MIN_INGRESS) >>> 0; // ffff:fff2
const CLASS = 0x10001; // 1:1, without meaning here, but the reference plugin's filter has it
const PRIORITY = 1;
const NO_BYTES = new Uint8Array(4);

/** Redirects the link; also repairs what an earlier ADD left incomplete. @throws CniError 999 */
export function redirect(host: Connection, link: Link, target: Link): void {
  const inUse = tryRedirect(host, link, target);
  if (inUse === undefined) return;
  removeRedirection(host, link, target);
  const others = findHook(host, link) === undefined ? undefined : listFilters(host, link);
  const refusal = others === undefined ? tryRedirect(host, link, target) : redirectBehind(others, host, link, target);
  if (refusal !== undefined) throw refusedTrafficControl("ingress", link, refusal);
}

/** @returns the error when there is a qdisc at the hook already. */
function tryRedirect(host: Connection, link: Link, target: Link): NetlinkError | undefined {
  const [ofHook, ofFilter] = host.attemptAll([
    hook(link, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL),
    redirection(link, target, { parent: HANDLE, priority: PRIORITY }),
  ]);
  if (ofHook !== undefined && isErrno(ofHook, "EEXIST")) return ofHook;
  if (ofHook !== undefined) throw refusedTrafficControl("ingress", link, ofHook);
  if (ofFilter !== undefined) throw refusedTrafficControl("u32", link, ofFilter);
  return undefined;
}

function redirectBehind(others: readonly FilterMessage[], host: Connection, link: Link, target: Link) {
  const last = Math.max(0, ...others.map(({ priority }) => priority));
  return host.attemptAll([redirection(link, target, { parent: FILTERS, priority: last + PRIORITY })])[0];
}

/** Removes our filters, and the qdisc when no other filter needs it. */
export function removeRedirection(host: Connection, link: Link, target: Link): void {
  removeFilters(host, link, target);
  if (listFilters(host, link).length > 0) return;
  const [refusal] = host.attemptAll([hook(link, RTM_DELQDISC, 0)]);
  const isNotThere = refusal === undefined || isErrno(refusal, "ENOENT", "ENODEV", "EINVAL"); // EINVAL: a clsact, which is not ours
  if (!isNotThere) throw refusal;
}

export const isRedirected = (host: Connection, link: Link, target: Link): boolean =>
  isTarget(target, listFilters(host, link));

/** Returns the indexes of the links that are redirected to the target. */
export function redirectedTo(host: Connection, target: Link): number[] {
  const hooked = listAllQdiscs(host).filter(({ handle }) => handle === HANDLE);
  return hooked.map(({ index }) => index).filter((index) => isTarget(target, filtersAt(host, index)));
}

const isTarget = (target: Link, filters: readonly FilterMessage[]): boolean =>
  filters.some((filter) => targetOf(filter) === target.index);

function hook({ index }: Link, type: typeof RTM_NEWQDISC | typeof RTM_DELQDISC, flags: number): Request {
  const name = type === RTM_NEWQDISC ? "RTM_NEWQDISC" : "RTM_DELQDISC";
  const value = { index, handle: HANDLE, parent: TC_H_INGRESS, kind: "ingress" };
  return request({ name, type, flags, table: qdiscMessage, value });
}

function redirection(
  { index }: Link,
  target: Link,
  { parent, priority }: { parent: number; priority: number },
): Request {
  const parameters = { action: TC_ACT_STOLEN, direction: TCA_EGRESS_REDIR, outputIndex: target.index };
  return request({
    name: "RTM_NEWTFILTER",
    type: RTM_NEWTFILTER,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    table: filterMessage,
    value: {
      index,
      parent,
      protocol: ETH_P_ALL,
      priority,
      kind: "u32",
      options: {
        classId: CLASS,
        selector: {
          flags: TC_U32_TERMINAL,
          keyCount: 1,
          hashMask: NO_BYTES,
          keys: [{ mask: NO_BYTES, value: NO_BYTES, offset: 0, offsetMask: 0 }], // matches every packet
        },
        actions: [{ kind: "mirred", options: { parameters } }],
      },
    },
  });
}

const findHook = (host: Connection, link: Link) => listQdiscs(host, link).find(({ handle }) => handle === HANDLE);

/** Runs `tc filter show dev <link> ingress`, leaving out the hash tables of u32. */
function listFilters(host: Connection, link: Link): FilterMessage[] {
  return findHook(host, link) === undefined ? [] : filtersAt(host, link.index);
}

const filtersAt = (host: Connection, index: number): FilterMessage[] =>
  host
    .dump(
      query({ name: "RTM_GETTFILTER", type: RTM_GETTFILTER, table: filterMessage, value: { index, parent: FILTERS } }),
    )
    .filter(({ options }) => options !== undefined && !("divisor" in options));

/** Returns the index of the link that a filter like ours redirects to, 0 when that link is gone; undefined for other filters. */
function targetOf({ options }: FilterMessage): number | undefined {
  if (options === undefined || !("selector" in options) || options.classId !== CLASS) return undefined;
  for (const { options: action } of options.actions ?? []) {
    if (action !== undefined && "parameters" in action && action.parameters && "outputIndex" in action.parameters)
      return action.parameters.outputIndex;
  }
  return undefined;
}

function removeFilters(host: Connection, link: Link, target: Link): void {
  const isOurs = (filter: FilterMessage) => [target.index, 0].includes(targetOf(filter) ?? -1);
  const filters = listFilters(host, link);
  const others = filters.filter((filter) => !isOurs(filter));
  host.attemptAll(filters.filter(isOurs).map((filter) => removal(filter, others))); // it is fine if one was deleted together with another
}

/** Deletes by handle if other filters have the same priority; otherwise all of that priority, so that no empty hash table remains. */
function removal(
  { index, parent, protocol, priority, handle }: FilterMessage,
  others: readonly FilterMessage[],
): Request {
  const isShared = others.some((other) => other.priority === priority);
  const value = { index, parent, protocol, priority, kind: "u32", handle: isShared ? handle : 0 };
  return request({ name: "RTM_DELTFILTER", type: RTM_DELTFILTER, table: filterMessage, value });
}
