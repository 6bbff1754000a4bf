/** Reclaims addresses that nothing can be using: left by an earlier boot, by a crash, or by containers that are gone. */
import { type Address, parseAddress } from "../../ip/address.ts";
import { isOfEarlierBoot, type ReservationEntry } from "./owner-index.ts";
import type { Pool } from "./pool-types.ts";
import { formatRangeSet, type RangeSet, rangeFor } from "./range.ts";
import { describeOwner, type Owner } from "./reservation.ts";
import { findReservation, isOwner, pathOf, type ReservationContent, removeReservation } from "./reservation-files.ts";
import { releaseReservations } from "./reservations-by-owner.ts";
import { findEntry, removeStaleEntries, scanReservations } from "./scan.ts";

/**
 * Frees every address of the set that nothing can be using: reserved in an earlier boot, or by a file that names no container.
 *
 * @returns how many.
 */
export function reclaim(pool: Pool, set: RangeSet): number {
  const { ownerIndex } = pool;
  const text = formatRangeSet(set);
  if (ownerIndex.complete && ownerIndex.swept.includes(text)) return 0;
  const count = reclaimWhere(pool, (name) => rangeFor(set, parseAddress(name) as Address) !== undefined);
  if (!ownerIndex.swept.includes(text)) ownerIndex.swept = [...ownerIndex.swept, text];
  return count;
}

function reclaimWhere(pool: Pool, isMeant: (name: string) => boolean): number {
  let count = 0;
  scanReservations(pool, (name, found, holding) => {
    if (!isMeant(name) || !isAbandoned(pool, found, holding)) return;
    reclaimReservation(pool, name, found);
    count++;
  });
  return count;
}

/** Whether `reclaim` would free anything. */
export function hasAbandoned(pool: Pool, set: RangeSet): boolean {
  if (pool.ownerIndex.complete && pool.ownerIndex.swept.includes(formatRangeSet(set))) return false;
  let has = false;
  scanReservations(pool, (name, found, holding) => {
    has ||= rangeFor(set, parseAddress(name) as Address) !== undefined && isAbandoned(pool, found, holding);
  });
  return has;
}

/** Reclaims one address if possible. @returns whether it is free now. */
export function reclaimOne(pool: Pool, name: string): boolean {
  const { store, ownerIndex } = pool;
  const found = findReservation(store, name);
  if (found === undefined) return true;
  const holding = isOwner(found) ? findEntry(ownerIndex, store, name, found) : undefined;
  if (!isAbandoned(pool, found, holding)) return false;
  reclaimReservation(pool, name, found);
  return true;
}

function isAbandoned(
  { store, ownerIndex }: Pool,
  found: ReservationContent,
  holding: ReservationEntry | undefined,
): boolean {
  return found === "torn" || (holding !== undefined && isOfEarlierBoot(ownerIndex, store, holding));
}

/** Removes an abandoned reservation and logs it, since it was not requested. */
export function reclaimReservation(pool: Pool, name: string, found: ReservationContent): void {
  if (!isOwner(found)) {
    removeReservation(pool.store, name);
    pool.log(`freed ${name}: its file ${pathOf(pool.store, name)} has no container`);
  } else {
    releaseReservations(pool, found, [{ name }]);
    pool.log(`freed ${name} of ${describeOwner(found)}: reserved before this boot`);
  }
}

/** Reclaims abandoned addresses in the whole directory. */
export function reclaimEverywhere(pool: Pool): void {
  reclaimWhere(pool, () => true);
}

/** Removes the reservations of every owner that is not alive, files without an owner, and their records. */
export function collectGarbage(pool: Pool, isAlive: (owner: Owner) => boolean): void {
  scanReservations(pool, (name, found) => {
    if (found === "torn") reclaimReservation(pool, name, found);
    else if (isOwner(found) && !isAlive(found)) releaseReservations(pool, found, [{ name }]);
  });
  removeStaleEntries(pool);
}
