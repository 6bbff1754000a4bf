/**
 * A network's reservations during one call: the reference plugin's files and the owner index beside them, under the lock.
 *
 * Guarantees, whichever other programs use the directory:
 *   - no address is given twice: the exclusive creation of its file decides, never the owner index;
 *   - a release finds every reservation of its owner that the index lists, that the runtime names (prevResult, requested addresses)
 *     and, unless these give one in each range set, that a read of the whole directory finds;
 *   - no reservation of this boot is taken from its owner.
 *
 * The first call after a boot or an installation reads the existing files, at most 1024 of them (0.1 s).
 * Changes by another plugin since our last call are found without reading the directory, through the last_reserved_ip files: a
 * round robin has allocated the addresses before the last one, and a few of these are looked at. So an ADD and a DEL take the same
 * time however many reservations there are. A full read is needed by:
 *   - a DEL or CHECK of an owner without a record, once after each foreign change,
 *   - a full pool, and GC.
 *
 * A gap remains: after foreign changes that this does not find (more than 16 of them, or requested addresses, between two calls of
 * ours; more than 1024 before the first), a container that is added again without a DEL can get a second address, and its DEL may
 * leave the first one to GC. Runtimes call DEL first.
 */
import { CniError, ErrorCode } from "../../cni/error.ts";
import { type Address, formatAddress } from "../../ip/address.ts";
import { isErrno } from "../../sys/errno.ts";
import { directoryOf } from "../../sys/file.ts";
import { closeOwnerIndex, openOwnerIndex } from "./owner-index.ts";
import type { Pool, PoolConf } from "./pool-types.ts";
import { previousInSet } from "./range.ts";
import { reclaimEverywhere } from "./reclaim.ts";
import { findReservation, findStore, isOwner, lastReserved, locked, lockOf, type Store } from "./reservation-files.ts";
import { findEntry, recordEntry, removeStaleEntries, SCAN_LIMIT, scanReservations } from "./scan.ts";

/** The reference plugin holds the lock while it reads the directory: a second with 60,000 reservations. */
const LOCK_TIMEOUT_MS = 60_000;

/** How many addresses, going back from the last allocated one, are looked at after a foreign change. */
const LOOK_BACK = 16;

/** Runs `work` on the network's pool, which is made if missing. @throws CniError 11: other processes held the lock too long. */
export function withPool<T>(conf: PoolConf, work: (pool: Pool) => T): T {
  return opened(conf, { directory: `${conf.dataDir}/${conf.network}` }, work);
}

/** @returns undefined when the network has no directory: nothing was ever reserved there, or it was removed. */
export function withExistingPool<T>(conf: PoolConf, work: (pool: Pool) => T): T | undefined {
  const store = findStore(`${conf.dataDir}/${conf.network}`);
  return store && opened(conf, store, work);
}

/** Runs `work` on the reservations in a directory of a network whose configuration need not be there: nothing can be allocated. @returns undefined when there is none. */
export function withReservationsIn<T>(directory: string, network: string, work: (pool: Pool) => T): T | undefined {
  const conf = { network, dataDir: directoryOf(directory), sets: [], reclaimAfterReboot: false, reuseDelayMs: 0 };
  return withExistingPool({ ...conf, log: () => undefined }, work);
}

function opened<T>(conf: PoolConf, store: Store, work: (pool: Pool) => T): T {
  return waited(store, () => {
    const pool: Pool = { ...conf, store, ownerIndex: openOwnerIndex(store) };
    const { ownerIndex } = pool;
    try {
      if (!ownerIndex.note) firstCallOfBoot(pool);
      else if (!ownerIndex.complete) syncForeignChanges(pool);
      return work(pool);
    } catch (error) {
      if (!(error instanceof CniError)) ownerIndex.complete = false; // unknown changes may have been made before
      throw error;
    } finally {
      closeOwnerIndex(ownerIndex, store);
    }
  });
}

function waited<T>(store: Store, work: () => T): T {
  try {
    return locked(store, LOCK_TIMEOUT_MS, work);
  } catch (error) {
    if (!isErrno(error, "EAGAIN")) throw error;
    const lock = lockOf(store);
    throw new CniError({
      code: ErrorCode.tryAgainLater,
      msg: `"${lock}" has been held by another process for ${LOCK_TIMEOUT_MS / 1000} s`,
      remedy: `find the process that holds it (fuser -v ${lock}): an IPAM plugin that hangs can be killed, DEL removes its reservations`,
      cause: error,
    });
  }
}

/** The first call in this boot: records existing reservations, within limits, and removes stale records. */
function firstCallOfBoot(pool: Pool): void {
  if (pool.reclaimAfterReboot) reclaimEverywhere(pool);
  else scanReservations(pool, () => {}, { atMost: SCAN_LIMIT }); // a longer read is useless: the rest would not be recorded
  if (pool.ownerIndex.complete) removeStaleEntries(pool);
  pool.sets.forEach((_, index) => {
    const last = lastReserved(pool.store, index);
    if (last) pool.ownerIndex.last[index] = formatAddress(last.address);
  });
}

/** Another program has changed the directory: finds and records what was allocated since. */
function syncForeignChanges({ store, ownerIndex, sets }: Pool): void {
  sets.forEach((set, index) => {
    const last = lastReserved(store, index);
    const seen = ownerIndex.last[index];
    if (!last) return;
    let address: Address | undefined = last.address;
    ownerIndex.last[index] = formatAddress(address);
    for (let looks = 0; looks < LOOK_BACK && address && formatAddress(address) !== seen; looks++) {
      const name = formatAddress(address);
      const found = findReservation(store, name);
      if (isOwner(found)) findEntry(ownerIndex, store, name, found) ?? recordEntry(ownerIndex, store, name, found);
      address = previousInSet(set, address);
    }
  });
}
