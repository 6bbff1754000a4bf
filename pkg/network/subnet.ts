/** The subnets of a network: which ones are free, and what their options may be. Pure. */
import { CniError, ErrorCode, invalidConf } from "../cni/error.ts";
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
  overlaps,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../ip/address.ts";
import type { SubnetConf } from "./definition.ts";

/** What `--subnet`, `--ip-range`, `--gateway` and `--aux-address` say. */
export interface SubnetOptions {
  subnets: readonly string[];
  ipRanges: readonly string[];
  gateways: readonly string[];
  /** As NAME=ADDRESS. */
  auxAddresses: readonly string[];
}

/** Addresses that are in use, and by whom, for messages: `network "n1"`, `route 10.0.0.0/8 through eth0`. */
export interface UsedSubnet {
  prefix: Prefix;
  by: string;
}

/** A part of the address space that subnets are chosen from, each of the length `size`. */
export interface Pool {
  base: Prefix;
  size: number;
}

const prefixOf = (text: string): Prefix => parsePrefix(text) as Prefix; // of our own constants
/** Docker's: 172.17.0.0/16 to 172.31.0.0/16, then sixteen of 192.168.0.0/16. */
export const defaultPools: readonly Pool[] = [
  ...Array.from({ length: 15 }, (_, i) => ({ base: prefixOf(`172.${17 + i}.0.0/16`), size: 16 })),
  { base: prefixOf("192.168.0.0/16"), size: 20 },
];

/** Parses `base=10.0.0.0/8,size=24`, as dockerd's --default-address-pool. @throws CniError 7 */
export function parsePool(text: string): Pool {
  const parts = new Map(text.split(",").map((part) => part.split("=", 2) as [string, string]));
  const base = parsePrefix(parts.get("base") ?? "");
  const size = Number(parts.get("size"));
  if (base !== undefined && size >= base.length && size <= base.address.length * 8 - 2 && parts.size === 2)
    return { base: networkOf(base), size };
  throw invalidConf(
    `invalid address pool ${JSON.stringify(text)}`,
    "write base and size of the subnets, as base=10.200.0.0/16,size=24; size is at least the length of base",
  );
}

/**
 * Returns the first subnet of the pools that overlaps nothing in use.
 *
 * @throws CniError 11: there is none
 */
export function chooseSubnet(pools: readonly Pool[], used: readonly UsedSubnet[]): Prefix {
  for (const pool of pools) {
    for (const candidate of subnetsOf(pool)) {
      if (!used.some(({ prefix }) => overlaps(prefix, candidate))) return candidate;
    }
  }
  throw new CniError({
    code: ErrorCode.tryAgainLater,
    msg: "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
    details: `in use: ${used.map(({ prefix, by }) => `${formatPrefix(prefix)} (${by})`).join(", ")}`,
    remedy:
      "choose one with --subnet, remove networks (twill network prune), or give more pools: --default-address-pool",
  });
}

/** Tries no more than this many subnets of one pool: all of them are in use then, or the pool is one of IPv6. */
const SUBNETS_TRIED = 65536;

function* subnetsOf({ base, size }: Pool): Generator<Prefix> {
  const step = 1n << BigInt(base.address.length * 8 - size);
  let address: Address = base.address;
  for (let tried = 0; tried < SUBNETS_TRIED && contains(base, address); tried++) {
    yield { address, length: size };
    const following = addToAddress(address, step);
    if (compareAddresses(following, address) <= 0) return; // behind the end of the family
    address = following;
  }
}

/**
 * Returns the subnets with what belongs to each: range, auxiliary addresses, and the gateway, by default the first address.
 *
 * @throws CniError 7: a text that is no address, or an address outside of all subnets
 */
export function parseSubnets(options: SubnetOptions): SubnetConf[] {
  const { ipRanges, gateways, auxAddresses } = options;
  const subnets = options.subnets.map((text) => parseSubnet(text));
  if (subnets.length === 0 && (ipRanges.length > 0 || gateways.length > 0 || auxAddresses.length > 0))
    throw invalidConf(
      "every ip-range, gateway or aux-address must have a corresponding subnet",
      "add --subnet, as --subnet 10.5.0.0/24",
    );
  refuseSeveral(subnets);
  const ranges = ipRanges.map((text) => matched(subnets, networkOf(prefixIn("range", text)), `range ${text}`));
  const gateway = gateways.map((text) => matched(subnets, wholeAddress(addressIn("gateway", text)), `gateway ${text}`));
  const aux = auxAddresses.map((text) => {
    const [name = "", address = ""] = text.split("=", 2);
    if (name === "" || address === "")
      throw invalidConf(
        `invalid aux-address ${JSON.stringify(text)}`,
        "write --aux-address NAME=ADDRESS, as router=10.5.0.2",
      );
    return { name, ...matched(subnets, wholeAddress(addressIn("aux-address", address)), `aux-address ${address}`) };
  });
  refuseRepeated(ranges, "ip-range");
  refuseRepeated(gateway, "gateway");
  return subnets.map((subnet) => confOf(subnet, { range: of(ranges, subnet), gateway: of(gateway, subnet), aux }));
}

interface Matched {
  subnet: Prefix;
  prefix: Prefix;
}

const of = (list: readonly Matched[], subnet: Prefix): Prefix | undefined =>
  list.find((one) => one.subnet === subnet)?.prefix;

interface Parts {
  range: Prefix | undefined;
  gateway: Prefix | undefined;
  aux: readonly (Matched & { name: string })[];
}

function confOf(subnet: Prefix, { range, gateway, aux }: Parts): SubnetConf {
  const own = aux
    .filter((one) => one.subnet === subnet)
    .map(({ name, prefix }) => [name, formatAddress(prefix.address)]);
  const gatewayAddress = gateway?.address ?? addToAddress(subnet.address, 1);
  refuseUnusable(subnet, gatewayAddress, "gateway");
  return {
    subnet: formatPrefix(subnet),
    ...(range && { ipRange: formatPrefix(range) }),
    gateway: formatAddress(gatewayAddress),
    ...(own.length > 0 && { auxiliaryAddresses: Object.fromEntries(own) }),
  };
}

function parseSubnet(text: string): Prefix {
  const prefix = prefixIn("subnet", text);
  const network = networkOf(prefix);
  if (compareAddresses(network.address, prefix.address) !== 0)
    throw invalidConf(`subnet ${text} has host bits set`, `write ${formatPrefix(network)}`);
  if (prefix.length > prefix.address.length * 8 - 2)
    throw invalidConf(
      "failed to allocate gateway (): No available addresses on this pool",
      `subnet ${text} is too small for a gateway and a container: its length must be at most ${prefix.address.length * 8 - 2}`,
    );
  return network;
}

function prefixIn(what: string, text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return prefix;
  throw invalidConf(
    `invalid ${what} ${JSON.stringify(text)}: it is not a CIDR address`,
    'write it as "10.5.0.0/24" or "fd00::/64"',
  );
}

function addressIn(what: string, text: string): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  throw invalidConf(
    `invalid ${what} ${JSON.stringify(text)}: it is not an IP address`,
    'write it as "10.5.0.1" or "fd00::1"',
  );
}

const wholeAddress = (address: Address): Prefix => ({ address, length: address.length * 8 });

/** Finds the subnet that has all of the prefix. @throws CniError 7, with Docker's text */
function matched(subnets: readonly Prefix[], prefix: Prefix, what: string): Matched {
  const subnet = subnets.find((one) => one.length <= prefix.length && contains(one, prefix.address));
  if (subnet !== undefined) return { subnet, prefix };
  throw invalidConf(`no matching subnet for ${what}`, `it must be in ${subnets.map(formatPrefix).join(" or ")}`);
}

function refuseSeveral(subnets: readonly Prefix[]): void {
  for (const [name, bytes] of [
    ["IPv4", 4],
    ["IPv6", 16],
  ] as const) {
    const own = subnets.filter(({ address }) => address.length === bytes);
    if (own.length > 1)
      throw invalidConf(
        `a network has one subnet of each family, but ${own.map(formatPrefix).join(" and ")} are ${name}`,
        "create a network for each, and connect containers to both",
      );
  }
}

function refuseRepeated(list: readonly Matched[], what: string): void {
  const twice = list.find((one, i) => list.findIndex(({ subnet }) => subnet === one.subnet) < i);
  if (twice === undefined) return;
  throw invalidConf(
    `subnet ${formatPrefix(twice.subnet)} has more than one ${what}`,
    `give --${what} once for each subnet`,
  );
}

function refuseUnusable(subnet: Prefix, address: Address, what: string): void {
  const isNetwork = compareAddresses(address, subnet.address) === 0;
  const isBroadcast = isIPv4(address) && compareAddresses(address, lastAddressOf(subnet)) === 0;
  if (!isNetwork && !isBroadcast) return;
  const kind = isNetwork ? "network" : "broadcast";
  throw invalidConf(
    `${what} ${formatAddress(address)} is the ${kind} address of ${formatPrefix(subnet)}`,
    `choose another one, as ${formatAddress(addToAddress(subnet.address, 1))}`,
  );
}

/** Refuses subnets that overlap those in use. @throws CniError 7, with Docker's text */
export function refuseOverlap(config: readonly SubnetConf[], used: readonly UsedSubnet[]): void {
  for (const { subnet } of config) {
    const taken = used.find(({ prefix }) => overlaps(prefix, prefixOf(subnet)));
    if (taken === undefined) continue;
    throw new CniError({
      code: ErrorCode.invalidConfig,
      msg: "Pool overlaps with other one on this address space",
      details: `${subnet} overlaps ${formatPrefix(taken.prefix)} of ${taken.by}`,
      remedy: "choose another --subnet, or leave it out: a free one is chosen then",
    });
  }
}

/** A range as host-local's configuration has it. */
export type HostLocalRange = { subnet: string; rangeStart?: string; rangeEnd?: string; gateway?: string };

/**
 * Returns the ranges of a subnet from which host-local chooses: those of `ipRange` without auxiliary addresses.
 *
 * @throws CniError 7: nothing is left
 */
export function rangesOf({ subnet, ipRange, gateway, auxiliaryAddresses = {} }: SubnetConf): HostLocalRange[] {
  const ends = { ...(gateway !== undefined && { gateway }) };
  const taken = Object.values(auxiliaryAddresses).flatMap((text) => parseAddress(text) ?? []);
  if (ipRange === undefined && taken.length === 0) return [{ subnet, ...ends }];
  const whole = usable(prefixOf(subnet));
  const wanted = ipRange === undefined ? whole : bounds(prefixOf(ipRange));
  let from = later(whole.first, wanted.first);
  const last = compareAddresses(whole.last, wanted.last) < 0 ? whole.last : wanted.last;
  const ranges: [Address, Address][] = [];
  for (const address of taken.sort(compareAddresses)) {
    if (compareAddresses(address, from) < 0 || compareAddresses(address, last) > 0) continue;
    if (compareAddresses(address, from) > 0) ranges.push([from, addToAddress(address, -1)]);
    from = addToAddress(address, 1);
  }
  if (compareAddresses(from, last) <= 0) ranges.push([from, last]);
  if (ranges.length === 0)
    throw invalidConf(
      `no address of ${ipRange ?? subnet} is left for containers`,
      "choose a larger --ip-range or --subnet, or fewer --aux-address",
    );
  return ranges.map(([start, end]) => ({
    subnet,
    rangeStart: formatAddress(start),
    rangeEnd: formatAddress(end),
    ...ends,
  }));
}

const bounds = (prefix: Prefix) => ({ first: prefix.address, last: lastAddressOf(prefix) });

/** Returns first and last address that an interface can have. */
function usable(prefix: Prefix): { first: Address; last: Address } {
  const last = lastAddressOf(prefix);
  return { first: addToAddress(prefix.address, 1), last: isIPv4(last) ? addToAddress(last, -1) : last };
}

const later = (one: Address, other: Address): Address => (compareAddresses(one, other) > 0 ? one : other);
