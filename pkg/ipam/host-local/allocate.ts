/**
 * Allocates addresses: one of each range set, all or none.
 *
 * The round robin finds a free address at once, except behind a long run of taken ones: a run of 60,000 costs 0.35 s, once in each
 * round through the range. Rejected: a bitmap of taken addresses beside the files. It would have to be trusted about the
 * reservations of other plugins, or be rebuilt after each change of theirs.
 */
import { CniError, ErrorCode } from "../../cni/error.ts";
import { withRollback } from "../../cni/rollback.ts";
import { type Address, compareAddresses, formatAddress, parseAddress } from "../../ip/address.ts";
import { isErrno } from "../../sys/errno.ts";
import { describeExhaustion } from "./exhausted.ts";
import { findOwnerEntry, forgetRelease, setOwnerEntry, sinceReleaseMs } from "./owner-index.ts";
import type { Pool } from "./pool-types.ts";
import { type Candidate, candidates, formatRangeSet, type Range, type RangeSet, rangeFor } from "./range.ts";
import { hasAbandoned, reclaim, reclaimOne, reclaimReservation } from "./reclaim.ts";
import { describeOwner, type Owner } from "./reservation.ts";
import {
  findReservation,
  forEachReserved,
  isOwner,
  isReserved,
  type LastReserved,
  lastReserved,
  pathOf,
  removeLastReserved,
  removeReservation,
  type Store,
  setLastReserved,
} from "./reservation-files.ts";
import { type HeldReservation, heldBy, reserve } from "./reservations-by-owner.ts";

/** An address that is now reserved for the owner. */
export type Allocation = Candidate;

/** After this many taken addresses in a row the directory is listed, instead of one lookup for each name. */
const ASK_AT_MOST = 64;

/**
 * Reserves one address of each range set: a requested one that the set contains, otherwise the first free one after the last
 * reserved one.
 *
 * @param requested Each must be in a set of its own. None may be reserved, not even by the same owner.
 * @returns as many allocations as there are sets, in that order. A call that throws has reserved nothing.
 * @throws CniError 999 (as the reference plugin): a set is exhausted, a requested address is taken, the owner already has an
 *   address of the set. 11: all free addresses were released less than `reuseDelay` ago.
 */
export function allocate(pool: Pool, owner: Owner, requested: readonly Address[]): Allocation[] {
  const { store, ownerIndex } = pool;
  const wanted = new Map(requested.map((address) => [formatAddress(address), address]));
  const held = heldBy(pool, owner, [], "index");
  const lasts = pool.sets.map((_, index) => lastReserved(store, index));
  return withRollback((undo) => {
    const entry = findOwnerEntry(ownerIndex, owner);
    undo("restore the owner's record", () => setOwnerEntry(ownerIndex, owner, entry));
    const given: string[] = [];
    const allocations = pool.sets.map((set, index) => {
      const place = `failed to allocate for range ${index}: `;
      const request = takeRequest(wanted, set);
      if (!request) refuseSecondAddress(pool, { set, held, place });
      const reserveNamed = (name: string) => reserve(pool, owner, name, given);
      const allocation = request
        ? reserveRequested(pool, reserveNamed, { set, request, place })
        : reserveNext(pool, reserveNamed, { set, last: lasts[index]?.address, place });
      const name = formatAddress(allocation.address);
      given.push(name);
      undo(`release ${name}`, () => {
        ownerIndex.complete = false; // if it cannot be removed, no index lists it
        removeReservation(store, name);
      });
      return allocation;
    });
    if (wanted.size > 0) throw unused([...wanted.keys()], pool.sets);
    allocations.forEach(({ address }, index) => {
      const last = lasts[index];
      undo(`reset last_reserved_ip.${index}`, () =>
        last === undefined ? removeLastReserved(store, index) : setLastReserved(store, index, last.address, undefined),
      );
      noteLast(pool, index, address, last);
      ownerIndex.last[index] = formatAddress(address);
    });
    return allocations;
  }, pool.log);
}

/** Writes last_reserved_ip. If something other than a file is in its place, allocation still works, from the start of the range. */
function noteLast({ store, log }: Pool, index: number, address: Address, former: LastReserved | undefined): void {
  try {
    setLastReserved(store, index, address, former);
  } catch (error) {
    if (!isErrno(error, "EISDIR", "ENXIO", "ELOOP")) throw error;
    log(`cannot record the last allocated address: ${(error as Error).message}; remove it`);
  }
}

/** Takes out the first requested address that the set contains, so that no other set gets it. */
function takeRequest(wanted: Map<string, Address>, set: RangeSet): Address | undefined {
  for (const [name, address] of wanted) {
    if (!rangeFor(set, address)) continue;
    wanted.delete(name);
    return address;
  }
  return undefined;
}

function reserveRequested(
  pool: Pool,
  reserveNamed: (name: string) => boolean,
  { set, request, place }: { set: RangeSet; request: Address; place: string },
): Allocation {
  const name = formatAddress(request);
  const range = rangeFor(set, request) as Range;
  if (compareAddresses(request, range.gateway) === 0) {
    const remedy = "request another address, or set another gateway for the range";
    throw failure(`${place}requested ip ${name} is subnet's gateway`, { remedy });
  }
  const isFree = reclaimOne(pool, name); // before the owner's record lists the address anew: it says of which boot it is
  if (!isFree || !reserveNamed(name)) {
    const holder = findReservation(pool.store, name);
    const file = pathOf(pool.store, name);
    const who = isOwner(holder) ? describeOwner(holder) : undefined;
    throw failure(`${place}requested IP address ${name} is not available in range set ${formatRangeSet(set)}`, {
      details: who === undefined ? `${file} is not a reservation` : `${who} has held it since this boot: ${file}`,
      remedy:
        who === undefined
          ? `request another address; if nothing uses this one: rm ${file}`
          : `request another address, or have the runtime call DEL for ${who}; if the container no longer exists: rm ${file}`,
    });
  }
  if (pool.reuseDelayMs > 0) forgetRelease(pool.ownerIndex, name);
  return { address: request, range };
}

/** Refuses an owner that has an address of the set. One from an earlier boot is freed: the same container is starting again. */
function refuseSecondAddress(
  pool: Pool,
  { set, held, place }: { set: RangeSet; held: readonly HeldReservation[]; place: string },
): void {
  const inSet = held.filter(({ name }) => rangeFor(set, parseAddress(name) as Address));
  for (const reservation of inSet) if (!reservation.isOfEarlierBoot) throw duplicate(pool, reservation, place);
  for (const { name, owner } of inSet) reclaimReservation(pool, name, owner);
}

function reserveNext(
  pool: Pool,
  reserveNamed: (name: string) => boolean,
  { set, last, place }: { set: RangeSet; last: Address | undefined; place: string },
): Allocation {
  const rest: Rest = { soonestMs: Number.POSITIVE_INFINITY };
  const firstFree = () => {
    const isTaken = exceptFirst(takenNames(pool)); // of the first one, mostly free, creating its file shows it
    for (const { address, range } of freeCandidates(pool, set, { last, rest, isTaken })) {
      if (reserveNamed(formatAddress(address))) return { address, range };
    }
    return undefined;
  };
  const allocation = firstFree() ?? (reclaim(pool, set) > 0 ? firstFree() : undefined);
  if (!allocation) throw exhausted(pool, set, { place, rest });
  return allocation;
}

/** Free addresses that `reuseDelay` still holds back. */
interface Rest {
  /** Milliseconds until the first of them may be allocated. */
  soonestMs: number;
}

function* freeCandidates(
  pool: Pool,
  set: RangeSet,
  { last, rest, isTaken }: { last: Address | undefined; rest: Rest; isTaken: (name: string) => boolean },
): Generator<Candidate> {
  for (const candidate of candidates(set, last)) {
    const name = formatAddress(candidate.address);
    if (!isTaken(name) && !isResting(pool, name, rest)) yield candidate;
  }
}

/** Chooses the cheaper way to look names up: one by one for a few, a listing of the directory for many. */
function takenNames({ store }: Pool): (name: string) => boolean {
  let asked = 0;
  let listed: Set<string> | undefined;
  return (name) => {
    if (asked++ < ASK_AT_MOST) return isReserved(store, name);
    listed ??= reservedNames(store);
    return listed.has(name);
  };
}

function exceptFirst(isTaken: (name: string) => boolean): (name: string) => boolean {
  let isFirst = true;
  return (name) => {
    if (!isFirst) return isTaken(name);
    isFirst = false;
    return false;
  };
}

function reservedNames(store: Store): Set<string> {
  const names = new Set<string>();
  forEachReserved(store, (name) => names.add(name));
  return names;
}

function isResting({ ownerIndex, reuseDelayMs }: Pool, name: string, rest: Rest): boolean {
  const sinceMs = reuseDelayMs > 0 ? sinceReleaseMs(ownerIndex, name) : undefined;
  if (sinceMs === undefined) return false;
  if (sinceMs < reuseDelayMs) {
    rest.soonestMs = Math.min(rest.soonestMs, reuseDelayMs - sinceMs);
    return true;
  }
  forgetRelease(ownerIndex, name);
  return false;
}

/** Returns why an ADD without requests would get no address: a set is exhausted, and nothing in it can be reclaimed. Code 50. */
export function findExhaustion(pool: Pool): CniError | undefined {
  const used = pool.sets.find((set, index) => {
    const last = lastReserved(pool.store, index)?.address;
    const rest = { soonestMs: Number.POSITIVE_INFINITY };
    const [free] = freeCandidates(pool, set, { last, rest, isTaken: takenNames(pool) });
    return !free && !hasAbandoned(pool, set);
  });
  if (used === undefined) return undefined;
  const msg = `no IP addresses available in range set: ${formatRangeSet(used)}`;
  return new CniError({ code: ErrorCode.notAvailable, msg, ...describeExhaustion(pool, used) });
}

function exhausted(pool: Pool, set: RangeSet, { place, rest }: { place: string; rest: Rest }): CniError {
  const msg = `${place}no IP addresses available in range set: ${formatRangeSet(set)}`;
  if (rest.soonestMs === Number.POSITIVE_INFINITY) return failure(msg, describeExhaustion(pool, set));
  const seconds = Math.ceil(rest.soonestMs / 1000);
  return new CniError({
    code: ErrorCode.tryAgainLater,
    msg,
    details: `the free addresses were released less than ${pool.reuseDelayMs / 1000} s ago ("reuseDelay")`,
    remedy: `try again in ${seconds} s, enlarge the range or lower "reuseDelay"`,
  });
}

function duplicate({ store }: Pool, { name, owner }: HeldReservation, place: string): CniError {
  const file = pathOf(store, name);
  const id = owner.containerId.trim();
  return failure(`${place}${name} has been allocated to ${id}, duplicate allocation is not allowed`, {
    details: `${describeOwner(owner)} has held it since this boot: ${file}`,
    remedy: `have the runtime call DEL before it calls ADD again; if the container no longer exists: rm ${file}`,
  });
}

function unused(names: readonly string[], sets: readonly RangeSet[]): CniError {
  return failure(`failed to allocate all requested IPs: ${names.join(" ")}`, {
    details: `the range sets are ${sets.map(formatRangeSet).join(" and ")}`,
    remedy:
      "request at most one address of each range set (the addresses of CNI_ARGS IP, args.cni.ips and runtimeConfig.ips are added up)",
  });
}

const failure = (msg: string, { details, remedy }: { details?: string; remedy: string }) =>
  new CniError({ code: ErrorCode.internal, msg, details, remedy });
