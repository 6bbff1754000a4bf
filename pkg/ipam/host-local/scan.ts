/** Scans existing reservations and records them in the owner index. */
import {
  findOwnerEntry,
  isOfEarlierBoot,
  newReservationEntry,
  type OwnerIndex,
  type ReservationEntry,
  recordedOwners,
  setOwnerEntry,
} from "./owner-index.ts";
import type { Pool } from "./pool-types.ts";
import type { Owner } from "./reservation.ts";
import {
  findReservation,
  forEachReserved,
  isHeldBy,
  isOwner,
  pathOf,
  type ReservationContent,
  type Store,
} from "./reservation-files.ts";

/** How many unknown reservations one scan records: 0.1 ms each. The first call of a boot reads no more files than this. */
export const SCAN_LIMIT = 1024;

/** Called for each reservation of a scan; may remove it. */
type Visit = (name: string, found: ReservationContent, holding: ReservationEntry | undefined) => void;

/**
 * Reads all reservations, or some. Unknown ones are recorded, within a limit that costs a tenth of a second: with 60,000
 * reservations of another plugin, several scans are needed until the owner index is complete.
 */
export function scanReservations(pool: Pool, visit: Visit, { atMost = Number.POSITIVE_INFINITY } = {}): void {
  const { store, ownerIndex } = pool;
  const unknown: string[] = [];
  let visited = 0;
  let learned = 0;
  let isComplete = true;
  forEachReserved(store, (name) => {
    if (visited++ === atMost) {
      isComplete = false;
      return "stop";
    }
    const found = findReservation(store, name);
    if (found === undefined) return undefined;
    if (found === "unknown") unknown.push(name);
    if (found === "torn") ownerIndex.swept = []; // it is newer than the last sweep, and may be reclaimed
    if (!isOwner(found)) return visit(name, found, undefined);
    const known = findEntry(ownerIndex, store, name, found);
    if (!known && learned++ >= SCAN_LIMIT) isComplete = false;
    return visit(
      name,
      found,
      known ?? (learned <= SCAN_LIMIT ? recordEntry(ownerIndex, store, name, found) : undefined),
    );
  });
  ownerIndex.complete = isComplete && ownerIndex.usable;
  warnOfUnknown(pool, unknown);
}

/** Warns in one line for each call, however many there are. */
function warnOfUnknown(pool: Pool, names: readonly string[]): void {
  const [first] = names;
  if (first === undefined || pool.ownerIndex.hasWarned) return;
  pool.ownerIndex.hasWarned = true;
  const others = names.length > 1 ? ` (and ${names.length - 1} more)` : "";
  const file = pathOf(pool.store, first);
  pool.log(`${first}${others} stays reserved: ${file} is not a reservation; if nothing uses the address: rm ${file}`);
}

/** Returns the record of a reservation that exists, if the record is about the same file. */
export function findEntry(
  ownerIndex: OwnerIndex,
  store: Store,
  name: string,
  owner: Owner,
): ReservationEntry | undefined {
  const known = findOwnerEntry(ownerIndex, owner)?.holdings.find((holding) => holding.name === name);
  return known && (known.bootId === ownerIndex.bootId || isOfEarlierBoot(ownerIndex, store, known)) ? known : undefined;
}

/** Records a reservation that exists. */
export function recordEntry(ownerIndex: OwnerIndex, store: Store, name: string, owner: Owner): ReservationEntry {
  const holding = newReservationEntry(ownerIndex, store, name);
  const entry = findOwnerEntry(ownerIndex, owner) ?? { holdings: [] };
  const others = entry.holdings.filter((other) => other.name !== name);
  setOwnerEntry(ownerIndex, owner, { ...entry, holdings: [...others, holding] });
  return holding;
}

/** Removes records without a reservation. The owner index must be complete. */
export function removeStaleEntries({ store, ownerIndex }: Pool): void {
  for (const owner of recordedOwners(ownerIndex)) {
    const { holdings, unfinished } = findOwnerEntry(ownerIndex, owner) ?? { holdings: [] };
    const left = holdings.filter(({ name }) => isHeldBy(store, name, owner));
    if (left.length === 0 || left.length < holdings.length || unfinished)
      setOwnerEntry(ownerIndex, owner, { holdings: left });
  }
}
