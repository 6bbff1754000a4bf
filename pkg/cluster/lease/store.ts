/** Where leases are kept: etcd, or a folder. What acquires, renews and follows leases knows this interface only. */
import type { Lease, LeaseAttributes, Subnets } from "./lease.ts";

export interface Snapshot {
  leases: readonly Lease[];
  /** Keys below the prefix that are no leases, with why: they are skipped, logged, counted. */
  malformed: readonly Malformed[];
}

export interface Malformed {
  key: string;
  reason: string;
}

/** What happens to leases, in the order of the store. */
export type LeaseEvent =
  /** The complete set: at the start, and whenever events may have been missed. */
  | { kind: "snapshot"; snapshot: Snapshot }
  /** Created, renewed or changed. */
  | { kind: "put"; lease: Lease }
  /** Deleted or expired. */
  | { kind: "gone"; subnets: Subnets }
  | { kind: "malformed"; malformed: Malformed };

export interface Watch {
  /** No event comes after it. */
  stop(): void;
}

export interface Store {
  /** For messages: `etcd http://10.0.0.1:2379, prefix /coreos.com/network`. */
  readonly description: string;
  /** How to write the network configuration, a command line for people. */
  readonly configCommand: string;
  /** The text of the network configuration. @throws NoConfig; StoreError */
  readConfig(): Promise<string>;
  /** @throws StoreError */
  list(): Promise<Snapshot>;
  /**
   * Makes the lease unless there is one that overlaps it, in either family: of hosts that want one subnet at once one gets it. A
   * name without a value that can be understood counts as a lease. flannel's daemons, in the same store, look at the key alone,
   * which names both families: they may still take half of what others have.
   *
   * @param ttlMs After this it goes, unless it is put again; undefined: never (a reservation).
   * @returns undefined: there is one
   * @throws StoreError
   */
  create(subnets: Subnets, attributes: LeaseAttributes, ttlMs: number | undefined): Promise<Lease | undefined>;
  /** Writes the lease, whether there or not: takes over, renews, changes. @throws StoreError */
  put(subnets: Subnets, attributes: LeaseAttributes, ttlMs: number | undefined): Promise<Lease>;
  /** The lease as it is now, with its end also where somebody else has written it. @returns undefined: there is none that can be understood. @throws StoreError */
  find(subnets: Subnets): Promise<Lease | undefined>;
  /** Whether this client of the store has written a lease with that end: else a watch's event of it is of somebody else. */
  hasWritten(lease: Lease): boolean;
  /** @throws StoreError */
  delete(subnets: Subnets): Promise<void>;
  /**
   * Tells of a snapshot first, then of every change; goes on by itself when the connection is lost, from where it was or with a new snapshot.
   *
   * @param trouble Called when it has lost the store (with why) and when it has it again (undefined).
   */
  watch(event: (event: LeaseEvent) => void, trouble: (why: Error | undefined) => void): Watch;
  /** The host's addresses have changed: what was connected from an old one is made anew, at once. No watch misses anything. */
  reconnect(): void;
  close(): Promise<void>;
}

/** The store has no network configuration yet: somebody has to write it. */
export class NoConfig extends Error {
  override name = "NoConfig";
}

/** The store did not do it. `message` says why and what to do about it. */
export class StoreError extends Error {
  override name = "StoreError";
}
