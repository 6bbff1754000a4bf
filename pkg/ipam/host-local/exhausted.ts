/** Who holds the addresses of a range set, for those who have to make room. */
import { type Address, compareAddresses, parseAddress } from "../../ip/address.ts";
import { findStat } from "../../sys/file.ts";
import type { Pool } from "./pool-types.ts";
import { type RangeSet, rangeFor, sizeOf } from "./range.ts";
import { describeOwner, type Owner } from "./reservation.ts";
import { findReservation, forEachReserved, isOwner } from "./store.ts";

/** How many owners are named. */
const NAMED = 3;

/** How many files are read at most, since this happens at each ADD of a full pool. */
const READ_AT_MOST = 1024;

/** Where libcni keeps the result of each attachment that exists, as `<network>-<container ID>-<interface>`. */
const RESULTS = "/var/lib/cni/results";

/** Details and remedy of a refusal for want of addresses. */
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
