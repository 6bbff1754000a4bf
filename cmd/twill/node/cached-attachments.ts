/** The attachments that the runtimes of this node remember, and whether their containers exist. */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { isContainerId } from "../../../pkg/cni/environment.ts";
import { isInterfaceName } from "../../../pkg/config/formats.ts";
import { cachedNamespace } from "../../../pkg/runtime/cached-namespace.ts";
import {
  type CacheEntry,
  cacheFileName,
  type DamagedFile,
  defaultCacheRoot,
  listCaches,
} from "../../../pkg/runtime/result-cache.ts";
import type { NamespaceState } from "../../../pkg/sys/namespace-state.ts";

export interface CachedAttachment {
  entry: CacheEntry;
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
    attachments: caches.flatMap(({ entries }) =>
      entries.map((entry) => ({ entry, state: cachedNamespace(entry).state })),
    ),
    damaged: caches.flatMap(({ damaged }) => damaged),
  };
}

/** Returns the attachments that runtimes remember, dead ones among them, and all that a damaged file may stand for. */
export const rememberedOwners = ({ attachments, damaged }: CachedAttachments): AttachmentId[] => [
  ...attachments.map(({ entry: { networkName, containerId, ifName } }) => ({
    network: networkName,
    containerId,
    ifName,
  })),
  ...damaged.flatMap(ownersNamedBy),
];

/** Returns every reading of the name NETWORK-CONTAINER-INTERFACE: each part may have dashes in it. */
function ownersNamedBy({ name }: DamagedFile): AttachmentId[] {
  const parts = name.split("-");
  const joined = (from: number, to: number) => parts.slice(from, to).join("-");
  return parts.flatMap((_, i) =>
    parts
      .slice(i + 1)
      .map((_, j) => ({
        network: joined(0, i),
        containerId: joined(i, i + 1 + j),
        ifName: joined(i + 1 + j, parts.length),
      }))
      .filter(
        ({ network, containerId, ifName }) => network !== "" && isContainerId(containerId) && isInterfaceName(ifName),
      ),
  );
}

/** Identifies an attachment in sets; files of the cache are named so. */
export const keyOf = ({ network, containerId, ifName }: AttachmentId): string =>
  cacheFileName({ networkName: network, containerId, ifName });

export const nameOf = ({ networkName, containerId, ifName }: CacheEntry): string =>
  `${networkName} ${containerId} ${ifName}`;
