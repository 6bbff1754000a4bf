/** Describes who holds the addresses of a range set, for the administrator who has to free some. */
import { type Address, compareAddresses, parseAddress } from "../../ip/address.ts";
import { findStat } from "../../sys/file.ts";
import type { Pool } from "./pool-types.ts";
import { type RangeSet, rangeFor, sizeOf } from "./range.ts";
import { describeOwner, type Owner } from "./reservation.ts";
import { findReservation, forEachReserved, isOwner } from "./reservation-files.ts";

/** Number of owners in the message. */
const NAMED = 3;

/** Number of files that are read at most, since this happens at each ADD while the pool is full. */
const READ_AT_MOST = 1024;

/** libcni's result cache, with a file `<network>-<container ID>-<interface>` for each attachment that exists. */
const RESULTS = "/var/lib/cni/results";

/** Returns details and remedy for an error about exhausted addresses. */
export function describeExhaustion(pool: Pool, set: RangeSet): { details: string; remedy: string } {
  const { held, owners } = countHolders(pool, set);
  const named = owners.slice(0, NAMED).map(({ name, owner }) => `${name} by ${describeOwner(owner)}`);
  const others = held > named.length ? ` and ${held - named.length} more` : "";
  const details = [`${held} of ${sizeOf(set)} addresses are held: ${named.join(", ")}${others}`];
  const isCached = findStat(RESULTS) !== undefined;
  const lost = owners.filter(({ owner }) => !hasResult(pool.network, owner)).length;
  if (isCached && lost > 0) details.push(`${lost} of these have no result in ${RESULTS}: GC would free them`);
  const canGcHelp = !isCached || lost > 0 || owners.length < held;
  return {
    details: details.join("; "),
    remedy: canGcHelp
      ? `have the runtime call GC for network "${pool.network}", or enlarge the range in "ipam"`
      : `enlarge the range in "ipam", or delete a container: all of them have results in ${RESULTS}`,
  };
}

function countHolders({ store }: Pool, set: RangeSet): { held: number; owners: { name: string; owner: Owner }[] } {
  let held = 0;
  const owners: { name: string; owner: Owner }[] = [];
  forEachReserved(store, (name) => {
    if (!rangeFor(set, parseAddress(name) as Address)) return;
    held++;
    const found = owners.length < READ_AT_MOST ? findReservation(store, name) : undefined;
    if (isOwner(found)) owners.push({ name, owner: found });
  });
  const numberOf = (name: string) => parseAddress(name) as Address;
  return { held, owners: owners.sort((one, other) => compareAddresses(numberOf(one.name), numberOf(other.name))) };
}

function hasResult(network: string, { containerId, ifName = "" }: Owner): boolean {
  return findStat(`${RESULTS}/${network}-${containerId}-${ifName}`) !== undefined;
}
