/** Leases as etcd keeps them: keys, values, and what it tells of changes. Pure. */
import { posix } from "node:path";
import type { IEvent, IKeyValue } from "etcd3";
import { type Address, formatAddress } from "../../../ip/address.ts";
import { keyOf, parseKey, readLease, type Subnets } from "../../lease/lease.ts";
import type { LeaseEvent, Snapshot } from "../../lease/store.ts";

/** As etcd takes it, in requests and in comparisons. */
export interface Range {
  key: Buffer;
  range_end: Buffer;
}

export interface Keys {
  prefix: string;
  config: Buffer;
  lease(subnets: Subnets): Buffer;
  /** All below `subnets/`. */
  leases: Range;
  /** All whose IPv4 subnet begins at this address, whatever their IPv6 one. */
  leasesAt(ipv4: Address): Range;
  /** The part below `subnets/`. */
  nameOf(key: Buffer): string;
}

/** @param prefix Cleaned as Go's path.Join does. */
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

/** All that begin so, up to the first text that does not. */
function keysFrom(start: string): Range {
  const end = start.slice(0, -1) + String.fromCharCode(start.charCodeAt(start.length - 1) + 1);
  return { key: Buffer.from(start), range_end: Buffer.from(end) };
}

/** The one after: what a list of that revision cannot have seen. */
export function nextRevision(revision: string): string {
  return String(BigInt(revision) + 1n);
}

/** Milliseconds since 1970 until when a lease of etcd lasts; undefined for "0", which is none. */
export type ExpiryOf = (leaseId: string) => number | undefined;

export function snapshotOf(entries: readonly IKeyValue[], keys: Keys, endOf: ExpiryOf): Snapshot {
  const found = entries.map((entry) => read(entry, keys, endOf));
  return {
    leases: found.flatMap((one) => (one.kind === "put" ? [one.lease] : [])),
    malformed: found.flatMap((one) => (one.kind === "malformed" ? [one.malformed] : [])),
  };
}

/** @returns undefined: something that was no lease is gone */
export function eventOf({ type, kv }: IEvent, keys: Keys, endOf: ExpiryOf): LeaseEvent | undefined {
  if (type.toUpperCase() !== "DELETE") return read(kv, keys, endOf);
  const subnets = parseKey(keys.nameOf(kv.key));
  return subnets && { kind: "gone", subnets };
}

function read(
  { key, value, lease }: IKeyValue,
  keys: Keys,
  endOf: ExpiryOf,
): Extract<LeaseEvent, { kind: "put" | "malformed" }> {
  const name = keys.nameOf(key);
  try {
    return { kind: "put", lease: readLease(name, value.toString(), endOf(lease)) };
  } catch (error) {
    return { kind: "malformed", malformed: { key: name, reason: (error as Error).message } };
  }
}
