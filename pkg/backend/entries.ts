/**
 * What a backend keeps in the kernel for its peers, as values: routes, neighbours, forwarding entries. Two entries with one text are
 * equal, of entries with one ID the kernel has one at a time. Pure.
 */
import { type Address, formatAddress, formatPrefix, isIPv4, type Prefix } from "../ip/address.ts";
import { formatMac } from "../link/mac.ts";

/** linux/rtnetlink.h leaves numbers from 32 up (rtm_protocol, RTPROT_*) to programs: by this one our routes are known. */
export const RTPROT_TWILL = 143;

export interface LinkName {
  index: number;
  name: string;
}

interface Named {
  /** `route 10.5.3.0/24`, `neighbour 10.5.3.0 dev flannel.1` */
  readonly id: string;
  /** As the `ip` command has it, for people and for comparison. */
  readonly text: string;
}

export interface RouteEntry extends Named {
  readonly kind: "route";
  readonly destination: Prefix;
  readonly gateway: Address | undefined;
  readonly link: LinkName;
  readonly isOnLink: boolean;
  readonly protocol: number;
}

export interface NeighbourEntry extends Named {
  readonly kind: "neighbour";
  readonly address: Address;
  readonly mac: Uint8Array;
  readonly link: LinkName;
}

/** Behind which tunnel end a MAC is. */
export interface ForwardingEntry extends Named {
  readonly kind: "fdb";
  readonly address: Address;
  readonly mac: Uint8Array;
  readonly link: LinkName;
}

export type Entry = RouteEntry | NeighbourEntry | ForwardingEntry;

interface RouteParts {
  destination: Prefix;
  gateway?: Address | undefined;
  link: LinkName;
  isOnLink: boolean;
  protocol?: number;
  /** Of routes that are not ours: what makes them another one to the same destination (` metric 100`), and what else they are. */
  selector?: string;
  otherwise?: string;
}

export function routeEntry(parts: RouteParts): RouteEntry {
  const { destination, gateway, link, isOnLink, protocol = RTPROT_TWILL, selector = "", otherwise = "" } = parts;
  const id = `route ${formatPrefix(destination)}${selector}`;
  const via = gateway === undefined ? "" : ` via ${formatAddress(gateway)}`;
  const text = `${id}${via} dev ${link.name} proto ${protocol}${isOnLink ? " onlink" : ""}${otherwise}`;
  return { kind: "route", id, text, destination, gateway, link, isOnLink, protocol };
}

export function neighbourEntry({ address, mac, link }: Omit<NeighbourEntry, "kind" | keyof Named>): NeighbourEntry {
  const id = `neighbour ${formatAddress(address)} dev ${link.name}`;
  return { kind: "neighbour", id, text: `${id} lladdr ${formatMac(mac)}`, address, mac, link };
}

export function forwardingEntry({ address, mac, link }: Omit<ForwardingEntry, "kind" | keyof Named>): ForwardingEntry {
  const id = `fdb ${formatMac(mac)} dev ${link.name}`;
  return { kind: "fdb", id, text: `${id} dst ${formatAddress(address)}`, address, mac, link };
}

/** By ID. Of two that claim the same, as peers with one MAC do, the last one wins. */
export type Entries = ReadonlyMap<string, Entry>;

export const entriesById = (entries: Iterable<Entry>): Map<string, Entry> =>
  new Map(Array.from(entries, (entry) => [entry.id, entry]));

/** In the order in which it is done. */
export interface Plan {
  /** Ahead of what is put: routes that lead nowhere any more, and duplicates that a replacement would stumble over. */
  first: readonly Entry[];
  /** Added, or put in the place of what has the same ID. */
  put: readonly Entry[];
  /** Behind it: nothing leads to these any more. */
  last: readonly Entry[];
}

/** From what the kernel is known to have to what it should have. */
export function planFrom(known: Entries, wanted: Entries): Plan {
  const put = [...wanted.values()].filter(({ id, text }) => known.get(id)?.text !== text);
  const gone = [...known.values()].filter(({ id }) => !wanted.has(id));
  return ordered({ first: inTheWay(put, known), put, gone });
}

/** What the kernel has, of each ID in its order: the first one counts. */
export interface Found {
  entry: Entry;
  /** Whether it is ours to remove: on our own device everything is, elsewhere what carries our protocol. */
  isOurs: boolean;
}

/** From what was read back. What is right already is not touched. */
export function planFromFound(found: readonly Found[], wanted: Entries): Plan {
  const effective = entriesById(found.map(({ entry }) => entry).toReversed()); // the first of each ID
  const put = [...wanted.values()].filter(({ id, text }) => effective.get(id)?.text !== text);
  const first = inTheWay(put, effective);
  const gone: Entry[] = [];
  for (const { entry, isOurs } of found) {
    if (!isOurs) continue;
    if (!wanted.has(entry.id)) gone.push(entry);
    else if (effective.get(entry.id) !== entry) first.push(entry);
  }
  return ordered({ first, put, gone });
}

/**
 * What cannot be replaced in one step: while an IPv6 route leads to a gateway over another device, the kernel does not believe that
 * the gateway is on the link (EINVAL).
 */
const inTheWay = (put: readonly Entry[], present: Entries): Entry[] =>
  put.flatMap((entry) => {
    const other = present.get(entry.id);
    if (entry.kind !== "route" || other?.kind !== "route" || isIPv4(entry.destination.address)) return [];
    return entry.isOnLink && other.link.index !== entry.link.index ? [other] : [];
  });

function ordered({
  first,
  put,
  gone,
}: {
  first: readonly Entry[];
  put: readonly Entry[];
  gone: readonly Entry[];
}): Plan {
  const isRoute = ({ kind }: Entry) => kind === "route";
  return {
    first: [...first, ...gone.filter(isRoute)],
    put: kinds.flatMap((kind) => put.filter((entry) => entry.kind === kind)),
    last: gone.filter((entry) => !isRoute(entry)),
  };
}
const kinds = ["neighbour", "fdb", "route"] as const;

export const isEmpty = ({ first, put, last }: Plan): boolean => first.length + put.length + last.length === 0;

/** A line for each step: `+ route …`, `- fdb …`. */
export const printPlan = ({ first, put, last }: Plan): string[] => [
  ...first.map(({ text }) => `- ${text}`),
  ...put.map(({ text }) => `+ ${text}`),
  ...last.map(({ text }) => `- ${text}`),
];
