/** Which subnet a host takes, given the leases of all. Pure. */
import {
  type Address,
  addToAddress,
  compareAddresses,
  contains,
  formatAddress,
  formatPrefix,
  lastAddressOf,
  networkOf,
  overlaps,
  type Prefix,
} from "../../ip/address.ts";
import { type Lease, parseKey, type Subnets, sameSubnets } from "./lease.ts";
import type { FamilyConfig, NetworkConfig } from "./network-config.ts";
import type { Snapshot } from "./store.ts";

/** What is known of the host that looks for a subnet. */
export interface HostInfo {
  /** Undefined: no lease can be known as its own. */
  publicIP: Address | undefined;
  /** What it had when it last ran. */
  previous: Subnets | undefined;
  /** Networks that it is in itself: no new subnet of its own overlaps them. */
  local?: readonly Prefix[];
}

/** One subnet of each list is taken; `ipv6` is there when the network has that family. */
export interface Candidates {
  ipv4: readonly Prefix[];
  ipv6?: readonly Prefix[];
}

export type SubnetChoice =
  /** This lease has our public address: it is ours, from the last run or reserved for us. */
  | { kind: "reuse"; lease: Lease }
  /** It has our public address but does not fit the network (any more). */
  | { kind: "delete"; lease: Lease }
  | { kind: "create"; candidates: Candidates };

/** Every subnet between SubnetMin and SubnetMax is leased. `message` says of which network, and what to do. */
export class NoSubnetLeft extends Error {
  override name = "NoSubnetLeft";
}

/** As many are enough for hosts that start at once to rarely meet. As flannel. */
const CANDIDATES = 100;

/**
 * Malformed leases are nobody's, and what they are named after is not free.
 *
 * @throws NoSubnetLeft; Error the network has no IPv4, without which a lease has no name
 */
export function chooseSubnet(
  network: NetworkConfig,
  { leases, malformed }: Snapshot,
  { publicIP, previous, local = [] }: HostInfo,
): SubnetChoice {
  const { ipv4, ipv6 } = network;
  if (!ipv4) throw new Error(onlyIPv6);
  const own = publicIP ? ownLease(network, leases, publicIP, previous) : undefined;
  if (own) return { kind: fits(network, own) ? "reuse" : "delete", lease: own };
  const taken = [...leases, ...malformed.flatMap(({ key }) => parseKey(key) ?? [])];
  const candidates = {
    ipv4: candidatesOf(ipv4, previous?.ipv4, { leased: subnetsOf(taken, "ipv4"), local }),
    ...(ipv6 && { ipv6: candidatesOf(ipv6, previous?.ipv6, { leased: subnetsOf(taken, "ipv6"), local }) }),
  };
  return { kind: "create", candidates };
}
const onlyIPv6 =
  "the network configuration has IPv6 only, and leases are named after their IPv4 subnet. " +
  'To fix: set "EnableIPv4": true with a "Network" (and leave EnableIPv6 as it is)';

/** Of several with our address the one we had last, else one that fits, else the first: flannel takes the first, and deletes it if it does not fit. */
function ownLease(
  network: NetworkConfig,
  leases: readonly Lease[],
  publicIP: Address,
  previous: Subnets | undefined,
): Lease | undefined {
  const ours = leases.filter(
    ({ attributes }) => attributes.publicIP && compareAddresses(attributes.publicIP, publicIP) === 0,
  );
  const fitting = ours.filter((lease) => fits(network, lease));
  const last = previous?.ipv4 ? fitting.find((lease) => sameSubnets(lease, previous)) : undefined;
  return last ?? fitting[0] ?? ours[0];
}

/** Whether it has a subnet of each family of the network, and of no other, where and as large as the network wants it. */
function fits(network: NetworkConfig, lease: Subnets): boolean {
  return fitsFamily(network.ipv4, lease.ipv4) && fitsFamily(network.ipv6, lease.ipv6);
}

function fitsFamily(family: FamilyConfig | undefined, subnet: Prefix | undefined): boolean {
  if (!family || !subnet) return !family && !subnet;
  return (
    subnet.length === family.subnetLength &&
    compareAddresses(subnet.address, family.subnetMin) >= 0 &&
    compareAddresses(subnet.address, family.subnetMax) <= 0
  );
}

interface InUse {
  leased: readonly Prefix[];
  /** By the host itself; of both families. */
  local: readonly Prefix[];
}

/** The previous subnet alone, where it fits and is free. */
function candidatesOf(family: FamilyConfig, previous: Prefix | undefined, inUse: InUse): readonly Prefix[] {
  const taken = [...inUse.leased, ...inUse.local.filter((one) => overlaps(one, family.network))];
  if (previous && fitsFamily(family, previous) && !taken.some((one) => overlaps(one, previous))) return [previous];
  const free = freeSubnets(family, taken, CANDIDATES);
  if (free.length === 0) throw new NoSubnetLeft(noneLeft(family, inUse));
  return free;
}

function noneLeft({ network, subnetLength, subnetMin, subnetMax }: FamilyConfig, { leased, local }: InUse): string {
  const inNetwork = leased.filter((subnet) => overlaps(subnet, network)).length;
  const own = local.filter((one) => overlaps(one, network)).map(formatPrefix);
  return (
    `out of subnets: ${formatPrefix(network)} has no free /${subnetLength} between ` +
    `${formatAddress(subnetMin)} and ${formatAddress(subnetMax)}, ${inNetwork} leases are in it` +
    `${own.length > 0 ? `, and this host itself is in ${own.join(", ")}` : ""}. ` +
    "To fix: delete the leases of hosts that are gone, or configure a larger Network, a longer SubnetLen or a wider SubnetMin to SubnetMax"
  );
}

const subnetsOf = (leases: readonly Subnets[], family: "ipv4" | "ipv6"): Prefix[] =>
  leases.flatMap((lease) => lease[family] ?? []);

/** The first ones that overlap nothing of `leased`, at most `limit`. */
export function freeSubnets(family: FamilyConfig, leased: readonly Prefix[], limit: number): Prefix[] {
  const { subnetLength: length, subnetMin, subnetMax } = family;
  const larger = leased.filter((subnet) => subnet.length < length);
  const taken = new Set(
    leased.filter((subnet) => subnet.length >= length).map((subnet) => nameAt(subnet.address, length)),
  );
  const free: Prefix[] = [];
  for (let base = subnetMin; free.length < limit && compareAddresses(base, subnetMax) <= 0; ) {
    const subnet = { address: base, length };
    const around = larger.find((one) => contains(one, base));
    if (!around && !taken.has(nameAt(base, length))) free.push(subnet);
    const next = addToAddress(lastAddressOf(around ?? subnet), 1);
    if (compareAddresses(next, base) <= 0) break; // the end of all addresses
    base = next;
  }
  return free;
}

const nameAt = (address: Address, length: number): string => formatPrefix(networkOf({ address, length }));
