// Decides about a port of the host that another attachment has already.
//
// The reference plugin silently leaves the port to the attachment that came first, even when its container is long gone. Here a holder that
// is gone is replaced, and one that is alive is named in an error. A holder is gone when it has the address that is this container's now,
// or when its network namespace is gone according to the runtime's result cache. Otherwise it counts as alive; GC and DEL delete it.

import type { NamedStep } from "../../cni/best-effort-del.ts";
import { CniError, ErrorCode } from "../../cni/error.ts";
import { type Address, formatAddress } from "../../ip/address.ts";
import { cachedNamespace } from "../../runtime/cached-namespace.ts";
import { attachmentsNamedBy, type CacheContent, defaultCacheRoot, listCache } from "../../runtime/result-cache.ts";
import { writeStderr } from "../../sys/process.ts";
import type { HostPort, MappingSet } from "./port-mapping.ts";

export interface Holder {
  /** The network; undefined when it is not known, like the other two. */
  network: string | undefined;
  containerId: string | undefined;
  /** The address that the port leads to. */
  address: Address | undefined;
}

/**
 * "keep": the holder is an attachment of the same container to another network and keeps the port. "replace": the holder is gone, and its mapping is replaced.
 */
export type ConflictDecision = "keep" | "replace";

/** Decides about a port that another attachment has. @throws CniError the port is not available */
export type ConflictPolicy = (mappingSet: MappingSet, port: HostPort, holder: Holder) => ConflictDecision;

/** A mapping that was removed, and the address it led to. */
export type Removed = HostPort & Pick<MappingSet, "family"> & Pick<Holder, "address">;

/** A deletion of an attachment's mappings. */
export interface Deletion {
  /** Run one after the other, also when one fails. */
  steps: readonly NamedStep[];
  /** Returns the mappings that the steps have found. */
  removed(): Removed[];
}

/** What an ADD has taken from a holder that is gone. */
interface Takeover {
  reason: string;
  /** As texts: "8080/tcp". Both address families have the same ones. */
  ports: Set<string>;
}

/**
 * Runs an ADD with its policy, and tells on stderr what it has taken over. Each holder is looked up once, however many ports it has.
 *
 * @throws CniError 11: the holder of a port is alive
 */
export function resolvingConflicts(add: (policy: ConflictPolicy) => void): void {
  /** By container and address. */
  const reasons = new Map<string, string>();
  /** By container. */
  const takeovers = new Map<string, Takeover>();
  add(({ owner, container }, port, holder) => {
    if (holder.containerId === owner.containerId) return "keep";
    const name = `${port.hostIp === undefined ? "" : `${formatAddress(port.hostIp)}:`}${port.hostPort}/${port.protocol}`;
    const who = `container ${holder.containerId ?? "(unknown)"} of network ${holder.network ?? "(unknown)"}`;
    const key = `${who} ${holder.address}`;
    const reason = reasons.get(key) ?? reasonOfDeath(holder, container.address);
    if (reason !== undefined) {
      reasons.set(key, reason);
      const takeover = takeovers.get(who) ?? { reason, ports: new Set() };
      takeover.ports.add(name);
      takeovers.set(who, takeover);
      return "replace";
    }
    throw new CniError({
      code: ErrorCode.tryAgainLater,
      msg: `port ${name} is held by ${who}`,
      details: `for container ${owner.containerId} of network ${owner.network}`,
      remedy: "choose another host port, or delete that container; if it no longer exists, run DEL for it, or GC",
    });
  });
  for (const [who, { reason, ports }] of takeovers)
    writeStderr(`${portsText([...ports])} held by ${who}, which no longer exists (${reason}): taken over\n`);
}

/** Of more ports the first ones are named: a container may have thousands. */
const NAMED_PORTS = 5;

function portsText(ports: readonly string[]): string {
  if (ports.length === 1) return `port ${ports[0]} of the host was`;
  const more = ports.length - NAMED_PORTS;
  return `ports ${ports.slice(0, NAMED_PORTS).join(", ")}${more > 0 ? ` and ${more} more` : ""} of the host were`;
}

function reasonOfDeath({ network, containerId, address }: Holder, ours: Address): string | undefined {
  if (address !== undefined && formatAddress(address) === formatAddress(ours))
    return "its address now belongs to this container";
  if (network === undefined || containerId === undefined) return undefined;
  const { entries, damaged } = cachedOf(containerId);
  const attachments = entries.filter(({ networkName }) => networkName === network);
  if (damaged.some((file) => attachmentsNamedBy(file, network).some((named) => named.containerId === containerId)))
    return undefined;
  if (attachments.length === 0 || attachments.some((entry) => cachedNamespace(entry).state !== "dead"))
    return undefined;
  return "its namespace does not exist";
}

/** Returns the cached attachments of a container. A cache that cannot be read counts as empty. */
function cachedOf(containerId: string): CacheContent {
  try {
    return listCache(defaultCacheRoot, containerId);
  } catch (error) {
    if (error instanceof CniError) return { entries: [], damaged: [] };
    throw error;
  }
}
