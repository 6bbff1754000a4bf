/**
 * The kernel entries of a backend's peers, as values: routes, neighbours, forwarding entries. Entries with the same text are equal; of
 * entries with the same ID the kernel has one at a time. Pure.
 */
import { type Address, formatAddress, formatPrefix, type Prefix } from "../../ip/address.ts";
import { formatMac } from "../../link/mac.ts";

/** The rtm_protocol of our routes. linux/rtnetlink.h leaves numbers (RTPROT_*) from 32 up to programs. */
export const RTPROT_TWILL = 143;

export interface LinkName {
  index: number;
  name: string;
}

interface Named {
  /** As `route 10.5.3.0/24`, `neighbour 10.5.3.0 dev flannel.1`. */
  readonly id: string;
  /** In the syntax of the `ip` command, for messages and for comparison. */
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

/** Maps a MAC to the tunnel endpoint behind which it is. */
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
  /** For routes of other programs: text that distinguishes routes to the same destination (` metric 100`), and of other properties. */
  idSuffix?: string;
  textSuffix?: string;
}

export const routeEntry = (parts: RouteParts): RouteEntry => new Route(parts);

export const neighbourEntry = (parts: LinkEntryParts): NeighbourEntry => new Neighbour(parts);

export const forwardingEntry = (parts: LinkEntryParts): ForwardingEntry => new Forwarding(parts);

/** A route whose text is made on demand: there are thousands of entries, of which few are compared. */
class Route implements RouteEntry {
  readonly id: string;
  readonly destination: Prefix;
  readonly gateway: Address | undefined;
  readonly link: LinkName;
  readonly isOnLink: boolean;
  readonly protocol: number;
  readonly #textSuffix: string;

  constructor({ idSuffix = "", textSuffix = "", ...parts }: RouteParts) {
    this.id = `route ${formatPrefix(parts.destination)}${idSuffix}`;
    this.destination = parts.destination;
    this.gateway = parts.gateway;
    this.link = parts.link;
    this.isOnLink = parts.isOnLink;
    this.protocol = parts.protocol ?? RTPROT_TWILL;
    this.#textSuffix = textSuffix;
  }

  get kind() {
    return "route" as const;
  }

  get text(): string {
    const via = this.gateway === undefined ? "" : ` via ${formatAddress(this.gateway)}`;
    const { id, link, protocol, isOnLink } = this;
    return `${id}${via} dev ${link.name} proto ${protocol}${isOnLink ? " onlink" : ""}${this.#textSuffix}`;
  }
}

type LinkEntryParts = Pick<NeighbourEntry, "address" | "mac" | "link">;

class LinkEntry {
  readonly id: string;
  readonly address: Address;
  readonly mac: Uint8Array;
  readonly link: LinkName;

  constructor(id: string, { address, mac, link }: LinkEntryParts) {
    this.id = id;
    this.address = address;
    this.mac = mac;
    this.link = link;
  }
}

class Neighbour extends LinkEntry implements NeighbourEntry {
  constructor(parts: LinkEntryParts) {
    super(`neighbour ${formatAddress(parts.address)} dev ${parts.link.name}`, parts);
  }

  get kind() {
    return "neighbour" as const;
  }

  get text(): string {
    return `${this.id} lladdr ${formatMac(this.mac)}`;
  }
}

class Forwarding extends LinkEntry implements ForwardingEntry {
  constructor(parts: LinkEntryParts) {
    super(`fdb ${formatMac(parts.mac)} dev ${parts.link.name}`, parts);
  }

  get kind() {
    return "fdb" as const;
  }

  get text(): string {
    return `${this.id} dst ${formatAddress(this.address)}`;
  }
}

/** Entries by ID. Of two with the same ID, as of peers with one MAC, the last one is used. */
export type Entries = ReadonlyMap<string, Entry>;

/** The part of a map of entries that is needed here. */
export interface ReadableEntries extends Pick<Entries, "get" | "has"> {
  values(): Iterable<Entry>;
}

export const entriesById = (entries: Iterable<Entry>): Map<string, Entry> =>
  new Map(Array.from(entries, (entry) => [entry.id, entry]));

/** Changes to send, in the order of the fields. */
export interface Plan {
  /** Removed first: routes that are no longer wanted, and duplicates that would make a replacement fail. */
  removeFirst: readonly Entry[];
  /** Added, or replacing an entry with the same ID. */
  set: readonly Entry[];
  /** Removed last: no route uses these any more. */
  removeLast: readonly Entry[];
}

/** Plans the changes from the entries that the kernel is known to have to the wanted ones. */
export function planFrom(known: Entries, wanted: Entries): Plan {
  const set = [...wanted.values()].filter(({ id, text }) => known.get(id)?.text !== text);
  const gone = [...known.values()].filter(({ id }) => !wanted.has(id));
  return ordered({ first: [], set, gone });
}

/** An entry read from the kernel. Several with the same ID stand in the kernel's order: the first one is in effect. */
export interface FoundEntry {
  entry: Entry;
  /** Whether we may remove it: on our own device every entry, elsewhere those with our protocol. */
  isOurs: boolean;
  /** Whether its protocol is that of the kernel or of another program: it must not be replaced. */
  isProtected?: boolean;
}

/** Returns the entry in effect of each ID, which is the first in the kernel's order. */
const effectiveOf = (found: readonly FoundEntry[]): Map<string, FoundEntry> =>
  new Map(found.toReversed().map((one) => [one.entry.id, one]));

/** Returns the protected routes that prevent wanted ones, by ID. */
export function obstructed(found: readonly FoundEntry[], wanted: Pick<Entries, "has">): Map<string, RouteEntry> {
  const others = new Map<string, RouteEntry>();
  for (const [id, { entry, isProtected }] of effectiveOf(found))
    if (isProtected && entry.kind === "route" && wanted.has(id)) others.set(id, entry);
  return others;
}

/** Plans the changes from entries read from the kernel. Correct and protected entries are not changed. */
export function planFromFound(found: readonly FoundEntry[], wanted: ReadableEntries): Plan {
  const effective = effectiveOf(found);
  const set: Entry[] = [];
  for (const entry of wanted.values()) {
    const present = effective.get(entry.id);
    if (present === undefined || (present.entry.text !== entry.text && !present.isProtected)) set.push(entry);
  }
  const first: Entry[] = [];
  const gone: Entry[] = [];
  for (const { entry, isOurs } of found) {
    if (!isOurs) continue;
    if (!wanted.has(entry.id)) gone.push(entry);
    else if (effective.get(entry.id)?.entry !== entry) first.push(entry);
  }
  return ordered({ first, set, gone });
}

function ordered({
  first,
  set,
  gone,
}: {
  first: readonly Entry[];
  set: readonly Entry[];
  gone: readonly Entry[];
}): Plan {
  const isRoute = ({ kind }: Entry) => kind === "route";
  return {
    removeFirst: [...first, ...gone.filter(isRoute)],
    set: kinds.flatMap((kind) => set.filter((entry) => entry.kind === kind)),
    removeLast: gone.filter((entry) => !isRoute(entry)),
  };
}
const kinds = ["neighbour", "fdb", "route"] as const;

export const isEmpty = ({ removeFirst, set, removeLast }: Plan): boolean =>
  removeFirst.length + set.length + removeLast.length === 0;

/** Prints a line for each step: `+ route …`, `- fdb …`. */
export const printPlan = ({ removeFirst, set, removeLast }: Plan): string[] => [
  ...removeFirst.map(({ text }) => `- ${text}`),
  ...set.map(({ text }) => `+ ${text}`),
  ...removeLast.map(({ text }) => `- ${text}`),
];
