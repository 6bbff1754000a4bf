/** Leases as etcd keeps them: keys, values, and what it tells of changes. Pure. */
import { posix } from "node:path";
import type { IEvent, IKeyValue } from "etcd3";
import { keyOf, parseKey, readLease, type Subnets } from "../lease.ts";
import type { LeaseEvent, Snapshot } from "../store.ts";

export interface Keys {
  prefix: string;
  config: Buffer;
  lease(subnets: Subnets): Buffer;
  /** All below `subnets/`. */
  leases: { key: Buffer; range_end: Buffer };
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
    leases: { key: Buffer.from(folder), range_end: Buffer.from(after(folder)) },
    nameOf: (key) => key.toString().slice(folder.length),
  };
}

/** The first text that does not begin so. */
function after(folder: string): string {
  return folder.slice(0, -1) + String.fromCharCode(folder.charCodeAt(folder.length - 1) + 1);
}

/** Milliseconds since 1970 until when a lease of etcd lasts; undefined for "0", which is none. */
export type EndOf = (leaseId: string) => number | undefined;

export function snapshotOf(entries: readonly IKeyValue[], keys: Keys, endOf: EndOf): Snapshot {
  const found = entries.map((entry) => read(entry, keys, endOf));
  return {
    leases: found.flatMap((one) => (one.kind === "put" ? [one.lease] : [])),
    malformed: found.flatMap((one) => (one.kind === "malformed" ? [one.malformed] : [])),
  };
}

/** @returns undefined: something that was no lease is gone */
export function eventOf({ type, kv }: IEvent, keys: Keys, endOf: EndOf): LeaseEvent | undefined {
  if (type.toUpperCase() !== "DELETE") return read(kv, keys, endOf);
  const subnets = parseKey(keys.nameOf(kv.key));
  return subnets && { kind: "gone", subnets };
}

function read(
  { key, value, lease }: IKeyValue,
  keys: Keys,
  endOf: EndOf,
): Extract<LeaseEvent, { kind: "put" | "malformed" }> {
  const name = keys.nameOf(key);
  try {
    return { kind: "put", lease: readLease(name, value.toString(), endOf(lease)) };
  } catch (error) {
    return { kind: "malformed", malformed: { key: name, reason: (error as Error).message } };
  }
}
