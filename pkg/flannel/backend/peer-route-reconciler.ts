/**
 * Keeps the routes of peers, with their neighbour and forwarding entries, in the kernel, and puts them back when another program removes
 * or changes them. It sends only differences: `want` compares the entries that a change touches with what is known, `repair` compares all
 * of them with what it reads from the kernel, so that a lost event does no lasting harm.
 */

import type { Log } from "../../cluster/log/log.ts";
import { isIPv4 } from "../../ip/address.ts";
import { neighbourSummary } from "../../link/neighbour.ts";
import type { Connection, NetlinkError, Request } from "../../netlink/connection.ts";
import { decode } from "../../netlink/message.ts";
import type { Nlmsg } from "../../netlink/nlmsg.ts";
import { AF_BRIDGE } from "../../netlink/rtnetlink/family.ts";
import { NUD_PERMANENT, RTM_DELNEIGH, RTM_NEWNEIGH } from "../../netlink/rtnetlink/neighbour.ts";
import { RTM_DELROUTE, RTM_NEWROUTE } from "../../netlink/rtnetlink/route.ts";
import { isErrno } from "../../sys/errno.ts";
import type { ApplyResult } from "./backend.ts";
import {
  type Entries,
  type Entry,
  entriesById,
  type FoundEntry,
  forwardingEntry,
  neighbourEntry,
  obstructed,
  type Plan,
  planFrom,
  planFromFound,
  type ReadableEntries,
  type RouteEntry,
  routeEntry,
} from "./entry.ts";
import {
  type Domain,
  foundRoute,
  isMulticast,
  readEntries,
  removeRequest,
  routeSummary,
  setRequest,
} from "./entry-requests.ts";
import { ifindexOf } from "./link-message.ts";
import { connectedRoute, type LocalAddress, leadsTo, showConnectedRoute } from "./local-networks.ts";
import { WantedEntries } from "./wanted-entries.ts";

/** The entries that a peer needs. */
export interface Want {
  /** The peer's key. */
  owner: string;
  /** undefined: the peer is gone. */
  entries: readonly Entry[] | undefined;
}

export interface PeerRouteReconciler {
  /** Replaces the entries of these peers, and sends the differences. */
  want(changes: readonly Want[]): ApplyResult;
  /** Sets the entries of all peers, and compares with what the kernel has. */
  repair(all: Iterable<Want>): ApplyResult;
  /** Lists wanted entries that are missing or different in the kernel and that `repair` would correct; not those that the kernel has refused. */
  missing(): readonly string[];
  /** Lists wanted routes whose destination has another program's route, as last found by `repair`. */
  obstructed(): readonly { wanted: RouteEntry; found: RouteEntry }[];
  /** Lists wanted entries that the kernel has refused, with its error. */
  refused(): readonly { wanted: Entry; refusal: string }[];
  /** Reports whether a netlink message is about an entry that `repair` would restore or remove. */
  concerns(message: Nlmsg): boolean;
  /** Forgets the entries on a link, which are gone with it. */
  forget(index: number): void;
}

interface Parts {
  rtnl: Connection;
  /** Returns the current domain: devices are replaced. */
  domain(): Domain;
  /** Returns the host's addresses as last read. */
  local(): readonly LocalAddress[];
  log: Log;
}

export function createPeerRouteReconciler({ rtnl, domain, local, log }: Parts): PeerRouteReconciler {
  let wanted = new WantedEntries();
  /** The wanted entries that the kernel has, as far as we know. */
  const known = new Map<string, Entry>();
  /** Routes of other programs that prevent wanted ones, by ID. */
  let others: ReadonlyMap<string, RouteEntry> = new Map();
  /** The kernel's last error for each entry that it has refused, by ID. */
  const refusals = new Map<string, string>();

  function compare(): ApplyResult {
    const found = readEntries(rtnl, domain());
    const plan = planFromFound(found, wanted);
    const obstacles = obstructed(found, wanted);
    tellObstructed(obstacles, { wanted, before: others }, log);
    others = obstacles;
    tellReplaced(found, plan, log);
    known.clear();
    for (const entry of wanted.values()) if (!others.has(entry.id)) known.set(entry.id, entry);
    for (const { id } of plan.set) known.delete(id);
    refusals.clear();
    const present = new Set(found.map(({ entry }) => entry.id));
    const { obscure, ...done } = carryOut(rtnl, plan, { known, present, refusals });
    restoreConnected(rtnl, { removed: plan.removeFirst, found, local: local() }, log);
    return { ...done, refused: [...done.refused, ...obscure] };
  }

  return {
    want(changes) {
      const touched = new Set(
        changes.flatMap(({ owner, entries }) => (entries ? wanted.set(owner, entries) : wanted.delete(owner))),
      );
      const plan = planFrom(selected(known, touched), selected(wanted, touched));
      const { obscure, ...done } = carryOut(rtnl, plan, { known, present: known, refusals });
      return obscure.length === 0 ? done : sum({ ...done, added: done.added - obscure.length }, compare());
    },
    repair(all) {
      wanted = new WantedEntries();
      for (const { owner, entries = [] } of all) wanted.set(owner, entries);
      return compare();
    },
    missing() {
      const found = readEntries(rtnl, domain());
      const first = entriesById(found.map(({ entry }) => entry).toReversed());
      const missing = planFromFound(found, wanted).set.filter(({ id }) => !refusals.has(id));
      return missing.map(({ id, text }) => {
        const instead = first.get(id);
        return instead === undefined ? `${text} is missing` : `${text} is missing: the kernel has ${instead.text}`;
      });
    },
    obstructed: () =>
      [...others].flatMap(([id, found]) => {
        const entry = wanted.get(id);
        return entry?.kind === "route" ? [{ wanted: entry, found }] : [];
      }),
    refused: () =>
      [...refusals].flatMap(([id, refusal]) => {
        const entry = wanted.get(id);
        return entry === undefined ? [] : [{ wanted: entry, refusal }];
      }),
    concerns: (message) => concerns(message, { wanted, others, domain: domain() }),
    forget(index) {
      for (const [id, { link }] of known) if (link.index === index) known.delete(id);
    },
  };
}

interface Kernel {
  /** The wanted entries that the kernel has; updated here. */
  known: Map<string, Entry>;
  /** IDs of existing entries that may be replaced. */
  present: Pick<ReadonlySet<string>, "has">;
  /** The kernel's last error for each entry that it has refused, by ID; updated here. */
  refusals: Map<string, string>;
}

interface CarriedOut extends ApplyResult {
  /** Routes that were refused because of something unknown, such as another program's route: the kernel's routes must be read to decide. */
  obscure: readonly string[];
}

function carryOut(
  rtnl: Connection,
  { removeFirst, set, removeLast }: Plan,
  { known, present, refusals }: Kernel,
): CarriedOut {
  const refused: string[] = [];
  const obscure: string[] = [];
  const note = (list: string[], entry: Entry, refusal: NetlinkError) =>
    void list.push(`${entry.text}: ${refusal.message}`);
  const removed = (entry: Entry) => {
    if (known.get(entry.id)?.text === entry.text) known.delete(entry.id);
  };
  const removal: Step = {
    requestOf: removeRequest,
    done: removed,
    refused: (entry, refusal) => (wasGone(refusal) ? removed(entry) : note(refused, entry, refusal)),
  };
  const addition: Step = {
    requestOf: (entry) => setRequest(entry, { replaces: present.has(entry.id) }),
    done(entry) {
      known.set(entry.id, entry);
      refusals.delete(entry.id);
    },
    refused(entry, refusal) {
      refusals.set(entry.id, refusal.message);
      note(entry.kind === "route" && !present.has(entry.id) ? obscure : refused, entry, refusal);
    },
  };
  sendAll(rtnl, removeFirst, removal);
  const offLink: RouteEntry[] = [];
  sendAll(rtnl, set, {
    ...addition,
    refused(entry, refusal) {
      if (isGatewayElsewhere(entry, refusal)) offLink.push(entry);
      else addition.refused(entry, refusal);
    },
  });
  withGatewaysOnLink(rtnl, offLink, () => sendAll(rtnl, offLink, addition));
  sendAll(rtnl, removeLast, removal);
  return { added: set.length, removed: removeFirst.length + removeLast.length, refused, obscure };
}

interface Step {
  requestOf(entry: Entry): Request;
  done(entry: Entry): void;
  refused(entry: Entry, refusal: NetlinkError): void;
}

/**
 * Reports whether an IPv6 route was refused because the kernel has a route to its gateway over another device, other than the default
 * route: then it does not accept that the gateway is on the link.
 */
const isGatewayElsewhere = (entry: Entry, refusal: NetlinkError): entry is RouteEntry =>
  entry.kind === "route" && entry.isOnLink && !isIPv4(entry.destination.address) && isErrno(refusal, "EINVAL");

/** Calls `work` while a host route leads to each route's gateway over the route's device. The kernel looks at it when a route is set only. */
function withGatewaysOnLink(rtnl: Connection, routes: readonly RouteEntry[], work: () => void): void {
  const made: Entry[] = [];
  const toGateway = ({ gateway, link }: RouteEntry): RouteEntry[] =>
    gateway
      ? [routeEntry({ destination: { address: gateway, length: gateway.length * 8 }, link, isOnLink: false })]
      : [];
  sendAll(rtnl, routes.flatMap(toGateway), {
    requestOf: (entry) => setRequest(entry, { replaces: false }),
    done: (entry) => void made.push(entry),
    refused() {}, // then the route itself is refused, with the reason
  });
  work();
  sendAll(rtnl, made, { requestOf: removeRequest, done() {}, refused() {} }); // what stays is removed by the next repair, since it is on our device
}

/** The number of requests that exist at a time: thousands that live until all are sent keep the garbage collector busy. */
const REQUESTS_PER_BATCH = 1024;

function sendAll(rtnl: Connection, entries: readonly Entry[], { requestOf, done, refused }: Step): void {
  for (let from = 0; from < entries.length; from += REQUESTS_PER_BATCH) {
    const part = entries.slice(from, from + REQUESTS_PER_BATCH);
    const refusals = rtnl.attemptAll(part.map(requestOf));
    for (const [i, entry] of part.entries()) {
      const refusal = refusals[i];
      if (refusal === undefined) done(entry);
      else refused(entry, refusal);
    }
  }
}

/** The kernel answers ESRCH for routes, ENOENT for neighbours and forwarding entries, ENODEV for all if the link is gone. */
const wasGone = (refusal: NetlinkError) => isErrno(refusal, "ESRCH", "ENOENT", "ENODEV");

const sum = (one: ApplyResult, other: ApplyResult): ApplyResult => ({
  added: one.added + other.added,
  removed: one.removed + other.removed,
  refused: [...one.refused, ...other.refused],
});

const selected = (entries: Pick<Entries, "get">, ids: ReadonlySet<string>): Entries =>
  entriesById([...ids].flatMap((id) => entries.get(id) ?? []));

/** Logs replaced routes: flannel's own when we take over, or another program's, which flannel would delete without a message. */
function tellReplaced(found: readonly FoundEntry[], { set }: Plan, log: Log): void {
  const others = entriesById(found.flatMap(({ entry, isOurs }) => (isOurs ? [] : [entry])).toReversed());
  for (const { id, text } of set) {
    const other = others.get(id);
    if (other !== undefined) log.info("replacing a route of another program", { found: other.text, put: text });
  }
}

function tellObstructed(
  others: ReadonlyMap<string, Entry>,
  { wanted, before }: { wanted: ReadableEntries; before: ReadonlyMap<string, Entry> },
  log: Log,
): void {
  for (const [id, { text }] of others) {
    if (before.get(id)?.text === text) continue;
    log.warn("a host cannot be reached: its subnet has a route of the kernel or another program, which is kept", {
      found: text,
      wanted: wanted.get(id)?.text,
    });
  }
}

interface Removal {
  removed: readonly Entry[];
  found: readonly FoundEntry[];
  local: readonly LocalAddress[];
}

/** Restores the kernel's route to an interface's network if a removed route to a peer had replaced it, as earlier versions did. */
function restoreConnected(rtnl: Connection, { removed, found, local }: Removal, log: Log): void {
  for (const entry of removed) {
    if (entry.kind !== "route") continue;
    const address = local.find((one) => leadsTo(one, entry.destination));
    if (address === undefined || found.some((one) => one.isProtected && one.entry.id === entry.id)) continue;
    const [refusal] = rtnl.attemptAll([connectedRoute(address)]);
    const fields = { route: showConnectedRoute(address) };
    if (refusal === undefined) log.warn("restored the kernel's route to an interface's network", fields);
    else if (!isErrno(refusal, "EEXIST"))
      log.warn("cannot restore the kernel's route to an interface's network", { ...fields, error: refusal.message });
  }
}

interface Known {
  wanted: ReadableEntries;
  /** Routes of other programs that prevent wanted ones, by ID. */
  others: ReadonlyMap<string, Entry>;
  domain: Domain;
}

function concerns({ type, body }: Nlmsg, known: Known): boolean {
  switch (type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const found = foundRoute(decode(routeSummary, body), known.domain);
      return found !== undefined && (type === RTM_NEWROUTE ? hasComeWrong(found, known) : hasGoneWrong(found, known));
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return neighbourConcerns(type, body, known);
    default:
      return false;
  }
}

const hasComeWrong = (found: FoundEntry, { wanted, others }: Known): boolean =>
  others.get(found.entry.id)?.text !== found.entry.text && isWrong(found, wanted);

/** Reports whether a wanted route is gone, or one that prevented it. */
const hasGoneWrong = (found: FoundEntry, { wanted, others }: Known): boolean =>
  isWanted(found, wanted) || others.get(found.entry.id)?.text === found.entry.text;

const isWanted = ({ entry }: FoundEntry, wanted: ReadableEntries): boolean => wanted.get(entry.id)?.text === entry.text;

const isWrong = (found: FoundEntry, wanted: ReadableEntries): boolean =>
  wanted.has(found.entry.id) ? !isWanted(found, wanted) : found.isOurs;

/** Checks the index first: most messages are about other links, and it has the same offset in every header but that of routes. */
function neighbourConcerns(type: number, body: Uint8Array, { wanted, domain }: Known): boolean {
  const index = ifindexOf(body);
  const link = domain.devices.find((device) => device.link.index === index)?.link;
  if (link === undefined) return false;
  const { family, state, destination: address, linkAddress: mac = noMac } = decode(neighbourSummary, body);
  if (address === undefined) return false;
  const entry = family === AF_BRIDGE ? forwardingEntry({ address, mac, link }) : neighbourEntry({ address, mac, link });
  if (type === RTM_DELNEIGH)
    return entry.kind === "neighbour" ? wanted.has(entry.id) : wanted.get(entry.id)?.text === entry.text;
  if ((state & NUD_PERMANENT) === 0) return wanted.has(entry.id);
  const isOurs = entry.kind === "fdb" || !isMulticast(address);
  return isWrong({ entry, isOurs }, wanted);
}
const noMac = new Uint8Array(6);
