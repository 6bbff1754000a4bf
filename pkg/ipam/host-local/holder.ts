/** Who has which addresses: an owner's reservations looked up, recorded and freed. */
import { type Address, parseAddress } from "../../ip/address.ts";
import { accountOf, isOfEarlierBoot, markReleased, newHolding, setAccount } from "./ledger.ts";
import type { Pool } from "./pool.ts";
import { type RangeSet, rangeFor } from "./range.ts";
import { type Owner, sameOwner } from "./reservation.ts";
import { isHeldBy, isOwner, removeReservation } from "./store.ts";
import { survey } from "./survey.ts";

/** A reservation that was looked at just now. */
export interface Held {
  /** The address as text. */
  name: string;
  owner: Owner;
  /** Nobody can be using it any more. */
  isOfEarlierBoot: boolean;
}

/**
 * The reservations of an attachment, and those of its container in files of the reference plugin's old releases, which name
 * no interface: recorded ones and those that `hints`, texts of addresses, point to, each verified.
 *
 * @param scope "directory": unless there is one in each range set, as an ADD makes them, all files are read, if the ledger
 *   is not known to be complete. "ledger": only after an ADD of the same owner that was killed.
 */
export function heldBy(pool: Pool, owner: Owner, hints: readonly string[], scope: "ledger" | "directory"): Held[] {
  const { store, ledger } = pool;
  const owners = [owner, { ...owner, ifName: undefined }];
  const accounts = owners.map((one) => ({ one, account: accountOf(ledger, one) }));
  const held = accounts.flatMap(({ one, account }) => {
    const recorded = account?.holdings ?? [];
    const names = new Set([...recorded.map(({ name }) => name), ...hints]);
    return [...names]
      .filter((name) => isHeldBy(store, name, one))
      .map((name) => {
        const holding = recorded.find((known) => known.name === name);
        return { name, owner: one, isOfEarlierBoot: !!holding && isOfEarlierBoot(ledger, store, holding) };
      });
  });
  const isOpen = scope === "directory" && !isInEachSet(pool.sets, held);
  const isSurveyDue = isOpen || !ledger.usable || accounts.some(({ account }) => account?.unfinished);
  if (isSurveyDue && !ledger.complete) {
    const seen = new Set(held.map(({ name }) => name));
    survey(pool, (name, found) => {
      const one = owners.find((known) => isOwner(found) && sameOwner(found, known));
      if (one && !seen.has(name)) held.push({ name, owner: one, isOfEarlierBoot: false });
    });
  }
  return held;
}

function isInEachSet(sets: readonly RangeSet[], held: readonly Held[]): boolean {
  return sets.every((set) => held.some(({ name }) => rangeFor(set, parseAddress(name) as Address)));
}

/** Notes that an ADD of the owner begins. @returns what takes the note back. */
export function begin({ ledger }: Pool, owner: Owner): () => void {
  const account = accountOf(ledger, owner);
  setAccount(ledger, owner, { holdings: account?.holdings ?? [], unfinished: true });
  return () => setAccount(ledger, owner, account);
}

/** Records that the owner has these reservations too, and that its ADD is done. */
export function record({ store, ledger }: Pool, owner: Owner, names: readonly string[]): void {
  const others = (accountOf(ledger, owner)?.holdings ?? []).filter(({ name }) => isHeldBy(store, name, owner));
  const given = names.map((name) => newHolding(ledger, store, name));
  setAccount(ledger, owner, { holdings: [...others.filter(({ name }) => !names.includes(name)), ...given] });
}

/**
 * Frees all addresses of an attachment. Files that name only the container go when there is none with the interface, as the
 * reference plugin has it.
 */
export function release(pool: Pool, owner: Owner, hints: readonly string[]): void {
  const held = heldBy(pool, owner, hints, "directory");
  const exact = held.filter((reservation) => reservation.owner === owner);
  if (exact.length > 0) giveBack(pool, owner, exact);
  else if (held.length > 0) giveBack(pool, { ...owner, ifName: undefined }, held);
  setAccount(pool.ledger, owner, undefined);
}

/** Frees some addresses of an owner. */
export function giveBack(pool: Pool, owner: Owner, held: readonly Pick<Held, "name">[]): void {
  const { store, ledger } = pool;
  for (const { name } of held) {
    removeReservation(store, name);
    if (pool.reuseDelayMs > 0) markReleased(ledger, name);
  }
  const account = accountOf(ledger, owner);
  const left = (account?.holdings ?? []).filter(({ name }) => isHeldBy(store, name, owner));
  if (account) setAccount(ledger, owner, { ...account, holdings: left });
}
