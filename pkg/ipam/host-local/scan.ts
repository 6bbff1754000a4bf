/** How the ledger gets to know the reservations that are there. */
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
import { type Found, findReservation, forEachReserved, isHeldBy, isOwner, pathOf, type Store } from "./store.ts";

/** How many unknown reservations are recorded at a time: 0.1 ms each. The first call of a boot reads no more than these. */
export const SCAN_LIMIT = 1024;

/** What a walk over the reservations meets; it may remove the one that it is told of. */
type Visit = (name: string, found: Found, holding: ReservationEntry | undefined) => void;

/**
 * Reads all reservations, or some. What is new to the ledger is recorded, but no more than costs a tenth of a second: with
 * the 60,000 reservations of somebody else it takes several walks until the ledger is complete.
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
    if (found === "torn") ownerIndex.swept = []; // it has come since, and may be reclaimed
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

/** One line for each call, however many there are. */
function warnOfUnknown(pool: Pool, names: readonly string[]): void {
  const [first] = names;
  if (first === undefined || pool.ownerIndex.hasWarned) return;
  pool.ownerIndex.hasWarned = true;
  const others = names.length > 1 ? ` (and ${names.length - 1} more)` : "";
  const file = pathOf(pool.store, first);
  pool.log(`${first}${others} stays taken: ${file} is no reservation; if nothing uses the address: rm ${file}`);
}

/** What is recorded of a reservation that exists. A record of another file of that name is none. */
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

/** With a complete ledger: removes what no reservation stands for any more. */
export function removeStaleEntries({ store, ownerIndex }: Pool): void {
  for (const owner of recordedOwners(ownerIndex)) {
    const { holdings, unfinished } = findOwnerEntry(ownerIndex, owner) ?? { holdings: [] };
    const left = holdings.filter(({ name }) => isHeldBy(store, name, owner));
    if (left.length === 0 || left.length < holdings.length || unfinished)
      setOwnerEntry(ownerIndex, owner, { holdings: left });
  }
}
