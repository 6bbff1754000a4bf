/**
 * Entries that are wanted, and kept in the kernel whatever others do there: what is sent is the difference between two states, never
 * the answer to one event, so that nothing depends on having seen all events.
 */
import { neighbourSummary } from "../link/neighbour.ts";
import type { Connection, NetlinkError, Request } from "../netlink/connection.ts";
import type { Frame } from "../netlink/frame.ts";
import { decode } from "../netlink/message.ts";
import { RTM_DELADDR, RTM_NEWADDR } from "../netlink/rtnetlink/address.ts";
import { AF_BRIDGE } from "../netlink/rtnetlink/family.ts";
import { RTM_DELLINK, RTM_NEWLINK } from "../netlink/rtnetlink/link.ts";
import { NUD_PERMANENT, RTM_DELNEIGH, RTM_NEWNEIGH } from "../netlink/rtnetlink/neighbour.ts";
import { RTM_DELROUTE, RTM_NEWROUTE } from "../netlink/rtnetlink/route.ts";
import { Input, u32 } from "../netlink/wire.ts";
import type { Log } from "../observe/log.ts";
import { isErrno } from "../sys/errno.ts";
import type { Programmed } from "./backend.ts";
import {
  type Entries,
  type Entry,
  entriesById,
  type Found,
  forwardingEntry,
  neighbourEntry,
  type Plan,
  planFrom,
  planFromFound,
} from "./entries.ts";
import {
  type Domain,
  foundRoute,
  isMulticast,
  putRequest,
  readEntries,
  removeRequest,
  routeSummary,
} from "./kernel-entries.ts";

export interface KeptEntries {
  /** From now on these are wanted. Sends what differs from what was wanted before. */
  want(entries: Iterable<Entry>): Programmed;
  /** The same, and compares with what the kernel has. */
  mend(entries: Iterable<Entry>): Programmed;
  /** What of them the kernel lacks or has otherwise. */
  missing(): readonly string[];
  /** Whether a message of the kernel tells of an entry that `mend` would put back or remove. */
  concerns(message: Frame): boolean;
  /** All entries on a link have gone with it. */
  forget(index: number): void;
}

/** @param domain As it is at the moment: devices come and go. */
export function keepEntries(route: Connection, domain: () => Domain, log: Log): KeptEntries {
  let wanted: Entries = new Map();
  /** What the kernel has as far as we know. */
  const known = new Map<string, Entry>();

  return {
    want(entries) {
      wanted = entriesById(entries);
      return carryOut(route, planFrom(known, wanted), known);
    },
    mend(entries) {
      wanted = entriesById(entries);
      const found = readEntries(route, domain());
      const plan = planFromFound(found, wanted);
      tellReplaced(found, plan, log);
      known.clear();
      for (const [id, entry] of wanted) known.set(id, entry);
      for (const { id } of plan.put) known.delete(id);
      return carryOut(route, plan, known);
    },
    missing() {
      const found = readEntries(route, domain());
      const first = entriesById(found.map(({ entry }) => entry).toReversed());
      return planFromFound(found, wanted).put.map(({ id, text }) => {
        const instead = first.get(id);
        return instead === undefined ? `${text} is missing` : `${text} is missing: there is ${instead.text}`;
      });
    },
    concerns: (message) => concerns(message, wanted, domain()),
    forget(index) {
      for (const [id, { link }] of known) if (link.index === index) known.delete(id);
    },
  };
}

function carryOut(route: Connection, { first, put, last }: Plan, known: Map<string, Entry>): Programmed {
  const removed = (entry: Entry) => {
    if (known.get(entry.id)?.text === entry.text) known.delete(entry.id);
  };
  const refused = [
    ...sendAll(route, first, { requestOf: removeRequest, isFine: wasGone, done: removed }),
    ...sendAll(route, put, { requestOf: putRequest, isFine: never, done: (entry) => known.set(entry.id, entry) }),
    ...sendAll(route, last, { requestOf: removeRequest, isFine: wasGone, done: removed }),
  ];
  return { added: put.length, removed: first.length + last.length, refused };
}

interface Step {
  requestOf(entry: Entry): Request;
  /** Whether a refusal says that it is so already. */
  isFine(refusal: NetlinkError): boolean;
  done(entry: Entry): void;
}

/** So many requests are there at a time: thousands that live until all are sent are what the garbage collector is busy with. */
const AT_ONCE = 1024;

/** @returns What the kernel refused. */
function sendAll(route: Connection, entries: readonly Entry[], { requestOf, isFine, done }: Step): string[] {
  const refused: string[] = [];
  for (let from = 0; from < entries.length; from += AT_ONCE) {
    const part = entries.slice(from, from + AT_ONCE);
    const refusals = route.attemptAll(part.map(requestOf));
    for (const [i, entry] of part.entries()) {
      const refusal = refusals[i];
      if (refusal === undefined || isFine(refusal)) done(entry);
      else refused.push(`${entry.text}: ${refusal.message}`);
    }
  }
  return refused;
}

const never = () => false;
/** Routes answer ESRCH, neighbours and forwarding entries ENOENT, everything ENODEV when the link has gone. */
const wasGone = (refusal: NetlinkError) => isErrno(refusal, "ESRCH", "ENOENT", "ENODEV");

/** flannel's own routes, when ours takes over; or somebody's in the way, which flannel would delete just so. */
function tellReplaced(found: readonly Found[], { put }: Plan, log: Log): void {
  const others = entriesById(found.flatMap(({ entry, isOurs }) => (isOurs ? [] : [entry])).toReversed());
  for (const { id, text } of put) {
    const other = others.get(id);
    if (other !== undefined) log.info("takes the place of a route that is not ours", { found: other.text, put: text });
  }
}

function concerns({ type, body }: Frame, wanted: Entries, domain: Domain): boolean {
  switch (type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const found = foundRoute(decode(routeSummary, body), domain);
      return found !== undefined && (type === RTM_NEWROUTE ? isWrong(found, wanted) : isWanted(found, wanted));
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return neighbourConcerns(type, body, wanted, domain);
    default:
      return false;
  }
}

const isWanted = ({ entry }: Found, wanted: Entries): boolean => wanted.get(entry.id)?.text === entry.text;

const isWrong = (found: Found, wanted: Entries): boolean =>
  wanted.has(found.entry.id) ? !isWanted(found, wanted) : found.isOurs;

/** Most are of other links: these are told by the index alone, which is at the same place in every header but that of routes. */
function neighbourConcerns(type: number, body: Uint8Array, wanted: Entries, { devices }: Domain): boolean {
  const index = indexOf(body);
  const link = devices.find((device) => device.link.index === index)?.link;
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

/** Of ifinfomsg, ifaddrmsg and ndmsg. */
export const indexOf = (body: Uint8Array): number => (body.length < 8 ? 0 : u32.read(new Input(body), 4, 8, {}));

/** Whether the message is of this link or of its addresses. */
export const isOfLink = ({ type, body }: Frame, index: number): boolean =>
  [RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR].includes(type) && indexOf(body) === index;
