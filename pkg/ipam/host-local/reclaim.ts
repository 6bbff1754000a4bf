/** Addresses that nobody can be using are taken back: left by an earlier boot, by a crash, or by containers that are gone. */
import { type Address, parseAddress } from "../../ip/address.ts";
import { giveBack } from "./holder.ts";
import { type Holding, isOfEarlierBoot } from "./ledger.ts";
import type { Pool } from "./pool.ts";
import { formatRangeSet, type RangeSet, rangeFor } from "./range.ts";
import { describeOwner, type Owner } from "./reservation.ts";
import { type Found, findReservation, isOwner, pathOf, removeReservation } from "./store.ts";
import { forgetWhatIsGone, recall, survey } from "./survey.ts";

/**
 * Frees every address of the set that nobody can be using: reserved in an earlier boot, or by a file without an owner.
 *
 * @returns how many.
 */
export function reclaim(pool: Pool, set: RangeSet): number {
  const { ledger } = pool;
  const text = formatRangeSet(set);
  if (ledger.complete && ledger.swept.includes(text)) return 0;
  const count = reclaimWhere(pool, (name) => rangeFor(set, parseAddress(name) as Address) !== undefined);
  if (!ledger.swept.includes(text)) ledger.swept = [...ledger.swept, text];
  return count;
}

function reclaimWhere(pool: Pool, isMeant: (name: string) => boolean): number {
  let count = 0;
  survey(pool, (name, found, holding) => {
    if (!isMeant(name) || !isAbandoned(pool, found, holding)) return;
    takeBack(pool, name, found);
    count++;
  });
  return count;
}

/** Whether `reclaim` would free anything. */
export function hasAbandoned(pool: Pool, set: RangeSet): boolean {
  if (pool.ledger.complete && pool.ledger.swept.includes(formatRangeSet(set))) return false;
  let has = false;
  survey(pool, (name, found, holding) => {
    has ||= rangeFor(set, parseAddress(name) as Address) !== undefined && isAbandoned(pool, found, holding);
  });
  return has;
}

/** The same for one address. @returns whether it is free now. */
export function reclaimOne(pool: Pool, name: string): boolean {
  const { store, ledger } = pool;
  const found = findReservation(store, name);
  if (found === undefined) return true;
  const holding = isOwner(found) ? recall(ledger, store, name, found) : undefined;
  if (!isAbandoned(pool, found, holding)) return false;
  takeBack(pool, name, found);
  return true;
}

function isAbandoned({ store, ledger }: Pool, found: Found, holding: Holding | undefined): boolean {
  return found === "torn" || (holding !== undefined && isOfEarlierBoot(ledger, store, holding));
}

/** Removes an abandoned reservation, and says so: nobody asked for it. */
export function takeBack(pool: Pool, name: string, found: Found): void {
  if (!isOwner(found)) {
    removeReservation(pool.store, name);
    pool.log(`took back ${name}: its file ${pathOf(pool.store, name)} names no container`);
  } else {
    giveBack(pool, found, [{ name }]);
    pool.log(`took back ${name} of ${describeOwner(found)}: reserved before the machine was started`);
  }
}

/** The same in the whole directory. */
export function reclaimEverywhere(pool: Pool): void {
  reclaimWhere(pool, () => true);
}

/** Removes the reservations of every owner that is not `alive`, files without an owner, and what is known of all these. */
export function collectGarbage(pool: Pool, isAlive: (owner: Owner) => boolean): void {
  survey(pool, (name, found) => {
    if (found === "torn") takeBack(pool, name, found);
    else if (isOwner(found) && !isAlive(found)) giveBack(pool, found, [{ name }]);
  });
  forgetWhatIsGone(pool);
}
