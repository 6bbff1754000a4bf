// A port of the host that somebody else has already.
//
// The reference plugin lets the one that came first have it, without a word, even when that container is long gone. Here a holder that is gone is replaced,
// and one that lives is named. Gone is who has the address that is ours now, whose namespace is gone according to the runtime's cache of results, or whose
// address no link leads to any more. Of whom none of this can be told is taken to live: GC knows better, and DEL.

import { CniError, ErrorCode } from "../../cni/error.ts";
import { writeStderr } from "../../cni/process-io.ts";
import { type Address, formatAddress } from "../../ip/address.ts";
import { cachedNamespace } from "../../runtime/cached-namespace.ts";
import { attachmentsNamedBy, type CacheContent, defaultCacheRoot, listCache } from "../../runtime/result-cache.ts";
import type { HostPort, MappingSet } from "./port-mapping.ts";

export interface Holder {
  /** Of both: undefined when it cannot be told. */
  network: string | undefined;
  containerId: string | undefined;
  /** Where the port leads to. */
  address: Address | undefined;
}

/** "same": another network of the same container; the port stays with it. "dead": it is to be replaced. */
export type ConflictDecision = "same" | "dead";

/** Says what is to be done about a port that somebody else has. @throws CniError it is not to be had */
export type ConflictPolicy = (mappingSet: MappingSet, port: HostPort, holder: Holder) => ConflictDecision;

/** A mapping that was, and where it led to. */
export type Removed = HostPort & Pick<MappingSet, "family"> & Pick<Holder, "address">;

/** @throws CniError 11: the holder lives */
export function resolveConflict({ owner, container }: MappingSet, port: HostPort, holder: Holder): ConflictDecision {
  if (holder.containerId === owner.containerId) return "same";
  const name = `${port.hostIp === undefined ? "" : `${formatAddress(port.hostIp)}:`}${port.hostPort}/${port.protocol}`;
  const who = `container ${holder.containerId ?? "(unknown)"} of network ${holder.network ?? "(unknown)"}`;
  const reason = reasonOfDeath(holder, container.address);
  if (reason !== undefined) {
    writeStderr(`port ${name} of the host was held by ${who}, which is gone (${reason}): taken over\n`);
    return "dead";
  }
  throw new CniError({
    code: ErrorCode.tryAgainLater,
    msg: `port ${name} is held by ${who}`,
    details: `for container ${owner.containerId} of network ${owner.network}`,
    remedy: "choose another host port, or delete that container; if it is gone already, run DEL for it, or GC",
  });
}

function reasonOfDeath({ network, containerId, address }: Holder, ours: Address): string | undefined {
  if (address !== undefined && formatAddress(address) === formatAddress(ours))
    return "its address is this container's now";
  if (network === undefined || containerId === undefined) return undefined;
  const { entries, damaged } = cachedOf(containerId);
  const attachments = entries.filter(({ networkName }) => networkName === network);
  if (damaged.some((file) => attachmentsNamedBy(file, network).some((named) => named.containerId === containerId)))
    return undefined;
  if (attachments.length === 0 || attachments.some((entry) => cachedNamespace(entry).state !== "dead"))
    return undefined;
  return "its namespace is";
}

/** A cache that cannot be read tells nothing, as an empty one. */
function cachedOf(containerId: string): CacheContent {
  try {
    return listCache(defaultCacheRoot, containerId);
  } catch (error) {
    if (error instanceof CniError) return { entries: [], damaged: [] };
    throw error;
  }
}
