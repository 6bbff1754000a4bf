/**
 * Garbage collection by the rule that what cannot be told is alive, for callers that no runtime tells which containers live.
 *
 * The runtime's cache may be lost or elsewhere, so an attachment that it does not have is no proof. Deleted are attachments whose
 * namespace is provably gone. GC of the plugins, which delete what is not in the list of valid attachments, is called for networks whose
 * attachments all have a reservation of host-local: who has one, or a link on the host, counts as valid.
 */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { isAtLeast } from "../../../pkg/cni/version.ts";
import {
  findReservation,
  findStore,
  forEachReserved,
  isOwner,
} from "../../../pkg/ipam/host-local/reservation-files.ts";
import { hostRtnetlink, listLinks } from "../../../pkg/link/link.ts";
import { ownerOf } from "../../../pkg/link/owner.ts";
import { cachedNamespace } from "../../../pkg/runtime/cached-namespace.ts";
import {
  collectGarbage,
  deleteStale,
  type GarbagePlan,
  planGarbageCollection,
  type Runtime,
} from "../../../pkg/runtime/network.ts";
import type { NetworkList } from "../../../pkg/runtime/network-list.ts";
import type { CacheEntry } from "../../../pkg/runtime/result-cache.ts";
import { everyReservationDirectory, reservationDirectories } from "../node/leftovers.ts";

type Owner = Omit<AttachmentId, "network">;

/** Plans the collection for a network. @throws CniError 5: the cache cannot be read */
export function safePlan(list: NetworkList, runtime: Runtime): GarbagePlan {
  const plan = planGarbageCollection(list, (entry) => cachedNamespace(entry).state !== "dead", runtime);
  const stale = new Set(plan.stale.map(textOf));
  const owners = [...reservationsOf(list), ...linkOwnersOf(list.name, runtime)];
  return { ...plan, valid: [...plan.valid, ...owners.filter((owner) => !stale.has(textOf(owner)))] };
}

const hasReservations = ({ name, plugins }: NetworkList): boolean => reservationDirectories(name, plugins).length > 0;

/** Reports whether `collect` calls GC of the network's plugins. */
export const callsGc = (list: NetworkList): boolean =>
  hasReservations(list) && !list.disableGC && isAtLeast(list.cniVersion, "1.1.0");

/** Carries the plan out. @param deleted is called for each attachment that was deleted. @throws CniError with all failures */
export function collect(
  list: NetworkList,
  plan: GarbagePlan,
  runtime: Runtime,
  deleted: (entry: CacheEntry) => void = () => undefined,
): void {
  if (hasReservations(list)) collectGarbage(list, plan, runtime, deleted, () => validSince(plan, list, runtime));
  else deleteStale(list, plan.stale, runtime, deleted);
}

/** Returns the valid attachments of the plan, those that have died since among them, and those that have come since. */
const validSince = ({ valid }: GarbagePlan, list: NetworkList, runtime: Runtime): Owner[] => [
  ...valid,
  ...safePlan(list, runtime).valid,
];

const textOf = ({ containerId, ifName }: Owner): string => `${containerId} ${ifName}`;

/** Reservations of old releases have no interface: it is the usual one. */
function reservationsOf(list: NetworkList): Owner[] {
  return everyReservationDirectory(list.name, list.plugins).flatMap((directory) => {
    const store = findStore(directory);
    const owners: Owner[] = [];
    if (store !== undefined)
      forEachReserved(store, (name) => {
        const found = findReservation(store, name);
        if (isOwner(found)) owners.push({ containerId: found.containerId, ifName: found.ifName ?? "eth0" });
      });
    return owners;
  });
}

/** A veth's end on the host is gone when the namespace of the other one is: as long as it is there, the container may be alive. */
const linkOwnersOf = (network: string, { host }: Runtime): Owner[] =>
  listLinks(hostRtnetlink({ host })).flatMap((link) => {
    const owner = ownerOf(link);
    return owner?.network === network ? [owner] : [];
  });
