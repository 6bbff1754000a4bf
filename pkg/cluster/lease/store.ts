/** The interface of a store of leases: etcd, or a directory. The code that acquires, renews and watches leases uses only this interface. */
import type { Lease, LeaseAttributes, Subnets } from "./lease.ts";

export interface Snapshot {
  leases: readonly Lease[];
  /** Keys below the prefix that are not leases, each with the reason: they are skipped, logged and counted. */
  malformed: readonly Malformed[];
}

export interface Malformed {
  key: string;
  reason: string;
}

/** A change of leases; events come in the order of the store. */
export type LeaseEvent =
  /** The complete set of leases: at the start, and whenever events may have been missed. */
  | { kind: "snapshot"; snapshot: Snapshot }
  /** A lease was created, renewed or changed. */
  | { kind: "put"; lease: Lease }
  /** A lease was deleted or has expired. */
  | { kind: "gone"; subnets: Subnets }
  | { kind: "malformed"; malformed: Malformed };

export interface Watch {
  /** Ends the watch; no event comes afterwards. */
  stop(): void;
}

export interface Store {
  /** The store for messages: `etcd http://10.0.0.1:2379, prefix /coreos.com/network`. */
  readonly description: string;
  /** A command line that writes the network configuration, for messages. */
  readonly configCommand: string;
  /** Returns the text of the network configuration. @throws NoConfig; StoreError */
  readConfig(): Promise<string>;
  /** @throws StoreError */
  list(): Promise<Snapshot>;
  /**
   * Creates the lease unless an existing one overlaps it in either family: of hosts that want one subnet at the same time one gets it.
   * A valid key with a malformed value counts as a lease. flannel's daemons on the same store compare only the whole key, which names
   * both families: they may still take one family's subnet of another host's lease.
   *
   * @param ttlMs The lease expires after this time unless it is put again; undefined: never (a reservation).
   * @returns undefined: an existing lease overlaps it
   * @throws StoreError
   */
  create(subnets: Subnets, attributes: LeaseAttributes, ttlMs: number | undefined): Promise<Lease | undefined>;
  /** Writes the lease, whether it exists or not: to take it over, renew it or change it. @throws StoreError */
  put(subnets: Subnets, attributes: LeaseAttributes, ttlMs: number | undefined): Promise<Lease>;
  /**
   * Reads the lease as it is now, with its expiry even if another client has written it.
   *
   * @returns undefined: there is none, or a malformed one
   * @throws StoreError
   */
  find(subnets: Subnets): Promise<Lease | undefined>;
  /** Reports whether this client has written a lease with that expiry; if not, another client caused the watch event with it. */
  hasWritten(lease: Lease): boolean;
  /** @throws StoreError */
  delete(subnets: Subnets): Promise<void>;
  /**
   * Reports a snapshot first, then every change. After a lost connection it resumes by itself, where it was or with a new snapshot.
   *
   * @param trouble Called when the store is lost (with the error) and when it answers again (undefined).
   */
  watch(event: (event: LeaseEvent) => void, trouble: (why: Error | undefined) => void): Watch;
  /** Replaces all connections at once, because the host's addresses have changed. No watch misses an event. */
  reconnect(): void;
  close(): Promise<void>;
}

/** The store has no network configuration yet: the administrator must write it. */
export class NoConfig extends Error {
  override name = "NoConfig";
}

/** The store did not perform a request. `message` has the reason and the remedy. */
export class StoreError extends Error {
  override name = "StoreError";
}
