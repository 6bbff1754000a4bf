/** The representation of leases in etcd: keys, values and watch events. Pure. */
import { posix } from "node:path";
import type { IEvent, IKeyValue } from "etcd3";
import { type Address, formatAddress } from "../../../ip/address.ts";
import type { LeaseEvent, Snapshot } from "../../lease/event.ts";
import { keyOf, readLease, type Subnets } from "../../lease/lease.ts";

/** A key range, in the form of etcd's requests and comparisons. */
export interface Range {
  key: Buffer;
  range_end: Buffer;
}

export interface Keys {
  prefix: string;
  config: Buffer;
  lease(subnets: Subnets): Buffer;
  /** All keys below `subnets/`. */
  leases: Range;
  /** Returns the range of keys whose IPv4 subnet has this base address, with any IPv6 subnet. */
  leasesAt(ipv4: Address): Range;
  /** Returns the part of a key below `subnets/`. */
  nameOf(key: Buffer): string;
}

/** @param prefix Is cleaned as Go's path.Join does. */
export function keysBelow(prefix: string): Keys {
  const folder = `${posix.join(prefix, "subnets")}/`;
  return {
    prefix: posix.join(prefix),
    config: Buffer.from(posix.join(prefix, "config")),
    lease: (subnets) => Buffer.from(folder + keyOf(subnets)),
    leases: keysFrom(folder),
    leasesAt: (ipv4) => keysFrom(`${folder}${formatAddress(ipv4)}-`),
    nameOf: (key) => key.toString().slice(folder.length),
  };
}

/** Returns the range of keys that begin with `start`. */
function keysFrom(start: string): Range {
  const end = start.slice(0, -1) + String.fromCharCode(start.charCodeAt(start.length - 1) + 1);
  return { key: Buffer.from(start), range_end: Buffer.from(end) };
}

/** Returns the revision after: the first one that a list at `revision` does not include. */
export function nextRevision(revision: string): string {
  return String(BigInt(revision) + 1n);
}

/** Returns the expiry of an etcd lease in milliseconds since 1970; undefined for "0", which is no lease. */
export type ExpiryOf = (leaseId: string) => number | undefined;

export function snapshotOf(entries: readonly IKeyValue[], keys: Keys, endOf: ExpiryOf): Snapshot {
  const found = entries.map((entry) => read(entry, keys, endOf));
  return {
    leases: found.flatMap((one) => (one.kind === "put" ? [one.lease] : [])),
    malformed: found.flatMap((one) => (one.kind === "malformed" ? [one.malformed] : [])),
  };
}

export function eventOf({ type, kv }: IEvent, keys: Keys, endOf: ExpiryOf): LeaseEvent {
  return type.toUpperCase() === "DELETE" ? { kind: "gone", id: keys.nameOf(kv.key) } : read(kv, keys, endOf);
}

function read(
  { key, value, lease }: IKeyValue,
  keys: Keys,
  endOf: ExpiryOf,
): Extract<LeaseEvent, { kind: "put" | "malformed" }> {
  const id = keys.nameOf(key);
  try {
    return { kind: "put", lease: readLease(id, value.toString(), endOf(lease)) };
  } catch (error) {
    return { kind: "malformed", malformed: { id, reason: (error as Error).message } };
  }
}
