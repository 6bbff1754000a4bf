/** Chooses the subnet that a host takes, given all leases. Pure. */
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
import type { Snapshot } from "./event.ts";
import { type Lease, parseKey, type Subnets, sameSubnets } from "./lease.ts";
import type { DividedNetworkConfig, FamilyConfig } from "./network-config.ts";
import { NoSubnet } from "./store-error.ts";

/** The host that needs a subnet. */
export interface HostInfo {
  /** Undefined: no lease can be recognized as its own. */
  publicIP: Address | undefined;
  /** The subnets that it had when it last ran. */
  previous: Subnets | undefined;
  /** Networks that it has an address in: its new subnet overlaps none of them. */
  local?: readonly Prefix[];
}

/** Free subnets to choose one of each family from; `ipv6` is set when the network has that family. */
export interface Candidates {
  ipv4: readonly Prefix[];
  ipv6?: readonly Prefix[];
}

export type SubnetChoice =
  /** The lease has our public address: it is ours, from the last run or reserved for us. */
  | { kind: "reuse"; lease: Lease }
  /** The lease has our public address but does not (or no longer) fit the network. */
  | { kind: "delete"; lease: Lease }
  | { kind: "create"; candidates: Candidates };

/** Enough candidates that hosts that start at the same time rarely choose the same one. flannel's number. */
const CANDIDATES = 100;

/**
 * Malformed leases belong to no host, but the subnets in their keys are not free.
 *
 * @throws NoSubnet; Error the network has no IPv4, without which a lease has no key
 */
export function chooseSubnet(
  network: DividedNetworkConfig,
  { leases, malformed }: Snapshot,
  { publicIP, previous, local = [] }: HostInfo,
): SubnetChoice {
  const { ipv4, ipv6 } = network;
  if (!ipv4) throw new Error(onlyIPv6);
  const own = publicIP ? ownLease(network, leases, publicIP, previous) : undefined;
  if (own) return { kind: fits(network, own) ? "reuse" : "delete", lease: own };
  const taken = [...leases, ...malformed.flatMap(({ id }) => parseKey(id) ?? [])];
  const candidates = {
    ipv4: candidatesOf(ipv4, previous?.ipv4, { leased: subnetsOf(taken, "ipv4"), local }),
    ...(ipv6 && { ipv6: candidatesOf(ipv6, previous?.ipv6, { leased: subnetsOf(taken, "ipv6"), local }) }),
  };
  return { kind: "create", candidates };
}
const onlyIPv6 =
  "the network configuration has IPv6 only, and leases are named after their IPv4 subnet. " +
  'To fix: set "EnableIPv4": true with a "Network" (and leave EnableIPv6 as it is)';

/**
 * Finds our lease. Of several with our address: the one of the last run, else one that fits, else the first; flannel takes the first, and
 * deletes it if it does not fit.
 */
function ownLease(
  network: DividedNetworkConfig,
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

/** Reports whether the lease has subnets of exactly the network's families, in the configured range and of the configured length. */
function fits(network: DividedNetworkConfig, lease: Subnets): boolean {
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
  /** Networks that the host itself has an address in, of both families. */
  local: readonly Prefix[];
}

/** Returns the previous subnet alone if it fits and is free; else free ones. @throws NoSubnet */
function candidatesOf(family: FamilyConfig, previous: Prefix | undefined, inUse: InUse): readonly Prefix[] {
  const taken = [...inUse.leased, ...inUse.local.filter((one) => overlaps(one, family.network))];
  if (previous && fitsFamily(family, previous) && !taken.some((one) => overlaps(one, previous))) return [previous];
  const free = freeSubnets(family, taken, CANDIDATES);
  if (free.length === 0) throw new NoSubnet(noneLeft(family, inUse));
  return free;
}

function noneLeft({ network, subnetLength, subnetMin, subnetMax }: FamilyConfig, { leased, local }: InUse): string {
  const inNetwork = leased.filter((subnet) => overlaps(subnet, network)).length;
  const own = local.filter((one) => overlaps(one, network)).map(formatPrefix);
  return (
    `out of subnets: ${formatPrefix(network)} has no free /${subnetLength} between ` +
    `${formatAddress(subnetMin)} and ${formatAddress(subnetMax)}, ${inNetwork} leases are in it` +
    `${own.length > 0 ? `, and this host has addresses in ${own.join(", ")}` : ""}. ` +
    "To fix: delete the leases of hosts that are gone, or configure a larger Network, a longer SubnetLen or a wider SubnetMin to SubnetMax"
  );
}

const subnetsOf = (leases: readonly Subnets[], family: "ipv4" | "ipv6"): Prefix[] =>
  leases.flatMap((lease) => lease[family] ?? []);

/** Returns the first subnets that overlap nothing of `leased`, at most `limit`. */
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
    if (compareAddresses(next, base) <= 0) break; // overflow at the end of the address space
    base = next;
  }
  return free;
}

const nameAt = (address: Address, length: number): string => formatPrefix(networkOf({ address, length }));
