/**
 * Which addresses a network may allocate, and in which order. Pure.
 *
 * A range is a run of addresses in a subnet. A set is a list of ranges that form one pool: an attachment gets one address of each
 * set. Error texts are the reference plugin's, word for word; the remedies after them are ours.
 */

import { CniError, ErrorCode } from "../../cni/error.ts";
import {
  type Address,
  addToAddress,
  compareAddresses,
  contains,
  formatAddress,
  formatPrefix,
  isIPv4,
  lastAddressOf,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../../ip/address.ts";
import { familyOf } from "../../ip/family.ts";
import { refuseSeveralPerFamily } from "../per-family.ts";

/** A range as configured: the texts are known to be addresses. */
export interface RangeConf {
  subnet: string;
  rangeStart?: string | undefined;
  rangeEnd?: string | undefined;
  gateway?: string | undefined;
}

export interface Range {
  subnet: Prefix;
  /** First and last address of the range. */
  start: Address;
  end: Address;
  /** Never allocated; need not be in the subnet. */
  gateway: Address;
}

/** Not empty, of one family, without overlaps. */
export type RangeSet = readonly Range[];

/** An address of a set. */
export interface Candidate {
  address: Address;
  range: Range;
}

/**
 * Returns the sets with defaults filled in: gateway and start are the first address of the network; the end is its last one, for
 * IPv4 the one before the broadcast address.
 *
 * @throws CniError 7 with the reference plugin's text for the first rule that is violated.
 */
export function parseRangeSets(sets: readonly (readonly RangeConf[])[], cniVersion: string): RangeSet[] {
  if (sets.length === 0) throw refusal("no IP ranges specified", 'set "ranges", as in [[{"subnet": "10.1.0.0/16"}]]');
  const settled = sets.map((set, index) => parseRangeSet(set, `invalid range set ${index}: `));
  refuseSeveralPerFamily(
    settled.flatMap(([range]) => range?.start ?? []),
    cniVersion,
  );
  if (!haveOverlap(settled.flat())) return settled;
  forEachPair(settled, (one, other, [i, j]) => {
    if (one.some((range) => other.some((second) => overlap(range, second)))) {
      const message = `range set ${i} overlaps with ${j}`;
      throw refusal(message, `${formatRangeSet(one)} and ${formatRangeSet(other)} must have no address in common`);
    }
  });
  return settled;
}

function parseRangeSet(set: readonly RangeConf[], prefix: string): RangeSet {
  const ranges = set.map((range) => parseRange(range, prefix));
  const [first] = ranges;
  if (!first)
    throw refusal(`${prefix}empty range set`, 'put a range in it, as {"subnet": "10.1.0.0/16"}, or remove it');
  if (ranges.some((range) => familyOf(range.start) !== familyOf(first.start))) {
    throw refusal(`${prefix}mixed address families`, "put IPv4 and IPv6 in two sets: [[{IPv4}], [{IPv6}]]");
  }
  if (!haveOverlap(ranges)) return ranges;
  forEachPair(ranges, (one, other) => {
    if (overlap(one, other)) {
      const message = `${prefix}subnets ${formatRange(one)} and ${formatRange(other)} overlap`;
      throw refusal(message, "ranges of a set must have no address in common");
    }
  });
  return ranges;
}

/** Applies the rules in the reference plugin's order, which determines the text when several are violated. */
function parseRange(conf: RangeConf, prefix: string): Range {
  const subnet = parsePrefix(conf.subnet);
  if (!subnet)
    throw refusal(`${prefix}invalid CIDR address: ${conf.subnet}`, 'write it as "10.1.0.0/16" or "fd00::/64"');
  const name = formatPrefix(subnet);
  if (subnet.length > subnet.address.length * 8 - 2) {
    throw refusal(`${prefix}Network ${name} too small to allocate from`, "use a prefix of at least 2 host bits");
  }
  const network = networkOf(subnet);
  if (compareAddresses(network.address, subnet.address) !== 0) {
    const address = formatAddress(network.address);
    const rule = `For a subnet mask of length ${subnet.length} the network address is ${address}`;
    throw refusal(`${prefix}Network has host bits set. ${rule}`, `write "subnet": "${formatPrefix(network)}"`);
  }

  const first = addToAddress(network.address, 1);
  const last = isIPv4(network.address) ? addToAddress(lastAddressOf(network), -1) : lastAddressOf(network);
  const start = parseBound(conf.rangeStart, prefix);
  const end = parseBound(conf.rangeEnd, prefix);
  if (start && (!contains(subnet, start) || (end && compareAddresses(start, end) > 0))) {
    const message = `${prefix}RangeStart ${formatAddress(start)} not in network ${name}`;
    throw refusal(message, boundsRemedy(name, "rangeStart"));
  }
  if (end && (!contains(subnet, end) || compareAddresses(end, start ?? first) < 0)) {
    const message = `${prefix}RangeEnd ${formatAddress(end)} not in network ${name}`;
    throw refusal(message, boundsRemedy(name, "rangeEnd"));
  }
  if (start && !end && compareAddresses(start, last) > 0) {
    const message = `${prefix}RangeStart ${formatAddress(start)} is behind ${formatAddress(last)}, the last address of ${name} that can be given out`;
    throw refusal(message, boundsRemedy(name, "rangeStart"));
  }
  return { subnet, start: start ?? first, end: end ?? last, gateway: parseBound(conf.gateway, prefix) ?? first };
}

function parseBound(text: string | undefined, prefix: string): Address | undefined {
  if (text === undefined || text === "") return undefined;
  const address = parseAddress(text);
  if (!address) throw refusal(`${prefix}invalid IP address: ${text}`, 'write it as "10.1.2.3" or "fd00::1"');
  return address;
}

function boundsRemedy(network: string, key: string): string {
  return `"${key}" must be an address of ${network}, with rangeStart not after rangeEnd`;
}

/** Returns the range of the set that contains `address`. */
export function rangeFor(set: RangeSet, address: Address): Range | undefined {
  return set.find((range) => inRange(range, address));
}

/**
 * Yields every address of the set once, in the order of the reference plugin: from the one after `last` (if that is in the set,
 * otherwise from the set's first) through all ranges and around to `last` itself; gateways are left out.
 */
export function* candidates(set: RangeSet, last: Address | undefined): Generator<Candidate> {
  const found = last && set.findIndex((range) => inRange(range, last));
  let place = last && found !== undefined && found >= 0 ? next(set, { index: found, address: last }) : first(set);
  const start = place;
  do {
    const range = set[place.index] as Range;
    if (compareAddresses(place.address, range.gateway) !== 0) yield { address: place.address, range };
    place = next(set, place);
  } while (place.index !== start.index || compareAddresses(place.address, start.address) !== 0);
}

/** Returns the address tried before `address`; undefined when that is not in the set. */
export function previousInSet(set: RangeSet, address: Address): Address | undefined {
  const index = set.findIndex((range) => inRange(range, address));
  if (index < 0) return undefined;
  if (compareAddresses(address, (set[index] as Range).start) !== 0) return addToAddress(address, -1);
  return (set[(index + set.length - 1) % set.length] as Range).end;
}

type Place = { index: number; address: Address };

const first = (set: RangeSet): Place => ({ index: 0, address: (set[0] as Range).start });

function next(set: RangeSet, { index, address }: Place): Place {
  if (compareAddresses(address, (set[index] as Range).end) !== 0) return { index, address: addToAddress(address, 1) };
  const following = (index + 1) % set.length;
  return { index: following, address: (set[following] as Range).start };
}

/** Counts the addresses that the set can allocate; for IPv6 that may exceed the range of a number. */
export function sizeOf(set: RangeSet): bigint {
  return set.reduce((sum, range) => {
    const size = numberOf(range.end) - numberOf(range.start) + 1n;
    return sum + size - (inRange(range, range.gateway) ? 1n : 0n);
  }, 0n);
}

/** Formats as `10.0.0.1-10.0.0.6,10.0.1.1-10.0.1.6`. */
export function formatRangeSet(set: RangeSet): string {
  return set.map(formatRange).join(",");
}

const formatRange = (range: Range): string => `${formatAddress(range.start)}-${formatAddress(range.end)}`;

function inRange(range: Range, address: Address): boolean {
  return (
    address.length === range.start.length &&
    compareAddresses(address, range.start) >= 0 &&
    compareAddresses(address, range.end) <= 0
  );
}

function overlap(one: Range, other: Range): boolean {
  return inRange(one, other.start) || inRange(other, one.start);
}

/** Reports whether two of the ranges have an address in common. Of ranges in the order of their starts, only neighbours need a look. */
function haveOverlap(ranges: readonly Range[]): boolean {
  const sorted = [...ranges].sort((one, other) => compareAddresses(one.start, other.start));
  return sorted.some((range, i) => i > 0 && overlap(sorted[i - 1] as Range, range));
}

function forEachPair<T>(items: readonly T[], visit: (one: T, other: T, indexes: [number, number]) => void): void {
  items.forEach((one, i) => {
    for (let j = i + 1; j < items.length; j++) visit(one, items[j] as T, [i, j]);
  });
}

const numberOf = (address: Address): bigint => address.reduce((value, byte) => value * 256n + BigInt(byte), 0n);

const refusal = (msg: string, remedy: string) => new CniError({ code: ErrorCode.invalidConfig, msg, remedy });
