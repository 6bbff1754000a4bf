/** How the ledger gets to know the reservations that are there. */
import {
  accountOf,
  type Holding,
  isOfEarlierBoot,
  type Ledger,
  newHolding,
  recordedOwners,
  setAccount,
} from "./ledger.ts";
import type { Pool } from "./pool.ts";
import type { Owner } from "./reservation.ts";
import { type Found, findReservation, forEachReserved, isHeldBy, isOwner, pathOf, type Store } from "./store.ts";

/** How many unknown reservations are recorded at a time: 0.1 ms each. The first call of a boot reads no more than these. */
export const LEARN_AT_MOST = 1024;

/** What a walk over the reservations meets; it may remove the one that it is told of. */
type Visit = (name: string, found: Found, holding: Holding | undefined) => void;

/**
 * Reads all reservations, or some. What is new to the ledger is recorded, but no more than costs a tenth of a second: with
 * the 60,000 reservations of somebody else it takes several walks until the ledger is complete.
 */
export function survey(pool: Pool, visit: Visit, { atMost = Number.POSITIVE_INFINITY } = {}): void {
  const { store, ledger } = pool;
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
    if (found === "torn") ledger.swept = []; // it has come since, and may be reclaimed
    if (!isOwner(found)) return visit(name, found, undefined);
    const known = recall(ledger, store, name, found);
    if (!known && learned++ >= LEARN_AT_MOST) isComplete = false;
    return visit(name, found, known ?? (learned <= LEARN_AT_MOST ? learn(ledger, store, name, found) : undefined));
  });
  ledger.complete = isComplete && ledger.usable;
  warnOfUnknown(pool, unknown);
}

/** One line for each call, however many there are. */
function warnOfUnknown(pool: Pool, names: readonly string[]): void {
  const [first] = names;
  if (first === undefined || pool.ledger.hasWarned) return;
  pool.ledger.hasWarned = true;
  const others = names.length > 1 ? ` (and ${names.length - 1} more)` : "";
  const file = pathOf(pool.store, first);
  pool.log(`${first}${others} stays taken: ${file} is no reservation; if nothing uses the address: rm ${file}`);
}

/** What is recorded of a reservation that exists. A record of another file of that name is none. */
export function recall(ledger: Ledger, store: Store, name: string, owner: Owner): Holding | undefined {
  const known = accountOf(ledger, owner)?.holdings.find((holding) => holding.name === name);
  return known && (known.bootId === ledger.bootId || isOfEarlierBoot(ledger, store, known)) ? known : undefined;
}

/** Records a reservation that exists. */
export function learn(ledger: Ledger, store: Store, name: string, owner: Owner): Holding {
  const holding = newHolding(ledger, store, name);
  const account = accountOf(ledger, owner) ?? { holdings: [] };
  const others = account.holdings.filter((other) => other.name !== name);
  setAccount(ledger, owner, { ...account, holdings: [...others, holding] });
  return holding;
}

/** With a complete ledger: removes what no reservation stands for any more. */
export function forgetWhatIsGone({ store, ledger }: Pool): void {
  for (const owner of recordedOwners(ledger)) {
    const { holdings, unfinished } = accountOf(ledger, owner) ?? { holdings: [] };
    const left = holdings.filter(({ name }) => isHeldBy(store, name, owner));
    if (left.length === 0 || left.length < holdings.length || unfinished) setAccount(ledger, owner, { holdings: left });
  }
}
