/** Describes who holds the addresses of a range set, for the administrator who has to free some. */

import { CniError } from "../../cni/error.ts";
import { type Address, compareAddresses, parseAddress } from "../../ip/address.ts";
import { cachedNamespace } from "../../runtime/cached-namespace.ts";
import {
  type CacheEntry,
  type CacheKey,
  cacheRootsOf,
  defaultCacheRoot,
  readCache,
} from "../../runtime/result-cache.ts";
import type { Pool } from "./pool-types.ts";
import { type RangeSet, rangeFor, sizeOf } from "./range.ts";
import { describeOwner, type Owner } from "./reservation.ts";
import { findReservation, forEachReserved, isOwner } from "./reservation-files.ts";

/** Number of owners in the message. */
const NAMED = 3;

/** Number of files that are read at most, since this happens at each ADD while the pool is full. */
const READ_AT_MOST = 1024;

/** Number of cached results that are read at most. */
const CACHED_AT_MOST = 256;

/** Returns details and remedy for an error about exhausted addresses. */
export function describeExhaustion(pool: Pool, set: RangeSet): { details: string; remedy: string } {
  const { held, owners } = countHolders(pool, set);
  const named = owners.slice(0, NAMED).map(({ name, owner }) => `${name} by ${describeOwner(owner)}`);
  const others = held > named.length ? ` and ${held - named.length} more` : "";
  const details = [`${held} of ${sizeOf(set)} addresses are held: ${named.join(", ")}${others}`];
  const dead = owners.slice(0, CACHED_AT_MOST).filter(({ owner }) => isDead(pool.network, owner)).length;
  if (dead > 0) details.push(`at least ${dead} of these belong to containers whose network namespace is gone`);
  const enlarge = 'enlarge the range in "ipam", or delete containers';
  return {
    details: details.join("; "),
    remedy: dead > 0 ? `twill gc; or ${enlarge}` : enlarge,
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

/**
 * Reports whether a runtime's cache has the attachment with a namespace that is gone. One without an entry may live: not all runtimes
 * have a cache that is known here.
 */
function isDead(networkName: string, { containerId, ifName = "" }: Owner): boolean {
  const key = { networkName, containerId, ifName };
  return cacheRootsOf(defaultCacheRoot).some((root) => {
    const entry = cachedEntry(root, key);
    return entry !== undefined && cachedNamespace(entry).state === "dead";
  });
}

function cachedEntry(root: string, key: CacheKey): CacheEntry | undefined {
  try {
    return key.ifName === "" ? undefined : readCache(root, key);
  } catch (error) {
    if (error instanceof CniError) return undefined; // it is damaged: nothing is known of its container
    throw error;
  }
}
