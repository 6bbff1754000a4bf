/** The reservations of an owner: looks them up, records and frees them. */
import { type Address, parseAddress } from "../../ip/address.ts";
import { findOwnerEntry, identityIn, isOfEarlierBoot, markReleased, setOwnerEntry } from "./owner-index.ts";
import type { Pool } from "./pool-types.ts";
import { type RangeSet, rangeFor } from "./range.ts";
import { type Owner, sameOwner } from "./reservation.ts";
import { createReservation, findReservation, isHeldBy, isOwner, removeReservation } from "./reservation-files.ts";
import { scanReservations } from "./scan.ts";

/** A reservation that was just verified. */
export interface HeldReservation {
  /** The address as text. */
  name: string;
  owner: Owner;
  /** Made in an earlier boot, so nothing can be using it. */
  isOfEarlierBoot: boolean;
}

/**
 * Returns the reservations of an attachment, and those of its container in files of the reference plugin's old releases, which have
 * no interface name: the recorded ones and those in `hints`, addresses as texts, each verified.
 *
 * @param scope "directory": unless each range set has one, as after an ADD, all files are read if the owner index is not known to
 *   be complete. "index": they are read only after an ADD of the same owner that was killed.
 */
export function heldBy(
  pool: Pool,
  owner: Owner,
  hints: readonly string[],
  scope: "index" | "directory",
): HeldReservation[] {
  const { store, ownerIndex } = pool;
  const owners = [owner, { ...owner, ifName: undefined }];
  const entries = owners.map((one) => findOwnerEntry(ownerIndex, one));
  const recorded = new Map(entries.flatMap((entry) => entry?.holdings ?? []).map((holding) => [holding.name, holding]));
  const ownerIn = (name: string) => {
    const found = findReservation(store, name);
    return isOwner(found) ? owners.find((one) => sameOwner(found, one)) : undefined;
  };
  const held = [...new Set([...recorded.keys(), ...hints])].flatMap((name): HeldReservation[] => {
    const one = ownerIn(name); // the file decides: an old release may have written it again, without the interface
    const holding = recorded.get(name);
    if (one === undefined) return [];
    return [{ name, owner: one, isOfEarlierBoot: !!holding && isOfEarlierBoot(ownerIndex, store, holding) }];
  });
  const isOpen = scope === "directory" && !isInEachSet(pool.sets, held);
  const isScanDue = isOpen || !ownerIndex.usable || entries.some((entry) => entry?.unfinished);
  if (isScanDue && !ownerIndex.complete) {
    const seen = new Set(held.map(({ name }) => name));
    scanReservations(pool, (name, found) => {
      const one = owners.find((known) => isOwner(found) && sameOwner(found, known));
      if (one && !seen.has(name)) held.push({ name, owner: one, isOfEarlierBoot: false });
    });
  }
  return held;
}

/** Reports whether each range set has one; without range sets that is unknown. */
function isInEachSet(sets: readonly RangeSet[], held: readonly HeldReservation[]): boolean {
  return sets.length > 0 && sets.every((set) => held.some(({ name }) => rangeFor(set, parseAddress(name) as Address)));
}

/**
 * Reserves an address for the owner. The owner's record lists it before its file appears, so that wherever this process is killed, the
 * next call of the owner finds what was reserved; a record without a reservation does not count.
 *
 * @param given The addresses that the owner has got in this call.
 * @returns false when the address is taken
 */
export function reserve({ store, ownerIndex }: Pool, owner: Owner, name: string, given: readonly string[]): boolean {
  return createReservation(store, name, owner, (stat) => {
    const others = (findOwnerEntry(ownerIndex, owner)?.holdings ?? []).filter(
      (other) => other.name !== name && (given.includes(other.name) || isHeldBy(store, other.name, owner)),
    );
    const entry = { name, bootId: ownerIndex.bootId, file: identityIn(stat) };
    setOwnerEntry(ownerIndex, owner, { holdings: [...others, entry] });
  });
}

/**
 * Frees all addresses of an attachment. Files that name only the container are removed when there is none with the interface, as in
 * the reference plugin.
 */
export function releaseAll(pool: Pool, owner: Owner, hints: readonly string[]): void {
  const held = heldBy(pool, owner, hints, "directory");
  const exact = held.filter((reservation) => reservation.owner === owner);
  if (exact.length > 0) releaseReservations(pool, owner, exact);
  else if (held.length > 0) releaseReservations(pool, { ...owner, ifName: undefined }, held);
  setOwnerEntry(pool.ownerIndex, owner, undefined);
}

/** Frees some addresses of an owner. */
export function releaseReservations(pool: Pool, owner: Owner, held: readonly Pick<HeldReservation, "name">[]): void {
  const { store, ownerIndex } = pool;
  for (const { name } of held) {
    removeReservation(store, name);
    if (pool.reuseDelayMs > 0) markReleased(ownerIndex, name);
  }
  const entry = findOwnerEntry(ownerIndex, owner);
  const freed = new Set(held.map(({ name }) => name));
  const left = (entry?.holdings ?? []).filter(({ name }) => !freed.has(name) && isHeldBy(store, name, owner));
  if (entry) setOwnerEntry(ownerIndex, owner, { ...entry, holdings: left });
}
