/**
 * The interface of a store that keeps leases as values under keys, named after their subnets, with an expiry: etcd, or a directory.
 * store-manager.ts makes a lease manager of it.
 */
import type { Snapshot } from "./event.ts";
import type { Lease, LeaseAttributes, Subnets } from "./lease.ts";
import type { WatchSource } from "./watch-peers.ts";

export interface Store extends WatchSource {
  /** The store for messages: `etcd http://10.0.0.1:2379, prefix /coreos.com/network`. */
  readonly description: string;
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
  /** Replaces all connections at once, because the host's addresses have changed. No watch misses an event. */
  reconnect(): void;
  close(): Promise<void>;
}
