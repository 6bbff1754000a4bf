/** Finds leases that overlap. Pure. */
import { compareAddresses, overlaps, type Prefix } from "../../ip/address.ts";
import { familyNames } from "../../ip/family.ts";
import type { Lease } from "./lease.ts";

/** Returns each lease that overlaps one before it, with that one: of one family, or both. */
export function overlappingLeases(leases: readonly Lease[]): [Lease, Lease][] {
  const pairs = new Map<Lease, Lease>();
  for (const family of familyNames) {
    const sorted = leases
      .flatMap((lease) => (lease[family] ? [{ lease, subnet: lease[family] }] : []))
      .toSorted((one, other) => bySubnet(one.subnet, other.subnet));
    let [widest] = sorted;
    for (const one of sorted.slice(1)) {
      if (widest && overlaps(widest.subnet, one.subnet)) pairs.set(one.lease, widest.lease);
      else widest = one;
    }
  }
  return [...pairs];
}

/** Orders by address; of those with the same address the wider one is first. */
const bySubnet = (one: Prefix, other: Prefix): number =>
  compareAddresses(one.address, other.address) || one.length - other.length;
