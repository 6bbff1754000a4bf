/** The attachments that the runtimes of this node remember, and whether their containers exist. */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { cachedNamespace } from "../../../pkg/runtime/cached-namespace.ts";
import {
  attachmentsNamedBy,
  type CacheEntry,
  type CacheKey,
  type DamagedFile,
  defaultCacheRoot,
  listCaches,
} from "../../../pkg/runtime/result-cache.ts";
import type { NamespaceState } from "../../../pkg/sys/namespace-state.ts";

export interface CachedAttachment {
  entry: CacheEntry;
  /** The cache that has it: multus has one of its own. */
  cacheRoot: string;
  state: NamespaceState;
}

export interface CachedAttachments {
  attachments: readonly CachedAttachment[];
  /** Files of the caches that cannot be read: each may be the entry of a container that runs. */
  damaged: readonly DamagedFile[];
}

/** @throws CniError 5: a cache's directory cannot be read */
export function readAttachments(cacheRoot = defaultCacheRoot): CachedAttachments {
  const caches = listCaches(cacheRoot);
  return {
    attachments: caches.flatMap(({ root, entries }) =>
      entries.map((entry) => ({ entry, cacheRoot: root, state: cachedNamespace(entry).state })),
    ),
    damaged: caches.flatMap(({ damaged }) => damaged),
  };
}

/** Returns the attachments that runtimes remember, dead ones among them, and all that a damaged file may stand for. */
export const rememberedOwners = ({ attachments, damaged }: CachedAttachments): AttachmentId[] => [
  ...attachments.map(({ entry }) => ownerOfEntry(entry)),
  ...ownersOfDamaged(damaged),
];

/** Returns the attachments that damaged files may stand for. */
export const ownersOfDamaged = (damaged: readonly DamagedFile[]): AttachmentId[] => damaged.flatMap(ownersNamedBy);

/** Returns every reading of the name NETWORK-CONTAINER-INTERFACE: each part may have dashes in it. */
function ownersNamedBy(file: DamagedFile): AttachmentId[] {
  const parts = file.name.split("-");
  const networks = parts.map((_, i) => parts.slice(0, i).join("-")).filter((network) => network !== "");
  return networks.flatMap((network) => attachmentsNamedBy(file, network).map((owner) => ({ network, ...owner })));
}

/** Returns the attachment of an entry of the cache, or of a record of `twill network connect`. */
export const ownerOfEntry = ({ networkName, containerId, ifName }: CacheKey): AttachmentId => ({
  network: networkName,
  containerId,
  ifName,
});

/** Identifies an attachment in sets. The names of the cache's files do not: each of their parts may have dashes in it. */
export const keyOf = ({ network, containerId, ifName }: AttachmentId): string =>
  JSON.stringify([network, containerId, ifName]);
