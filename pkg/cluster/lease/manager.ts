/**
 * The lease manager, as flannel's subnet.Manager: all that a daemon knows of the store that its cluster keeps leases in. It reads the
 * network configuration, acquires this host's lease and keeps it, and follows the leases of the others. What a lease is called, where
 * its subnet comes from, whether it expires, and what an administrator does about it, are the store's.
 */
import type { Prefix } from "../../ip/address.ts";
import type { Malformed } from "./event.ts";
import type { Lease, LeaseAttributes, LeaseId, Subnets } from "./lease.ts";
import type { NetworkConfig } from "./network-config.ts";

export interface LeaseManager {
  /** The store for messages: `etcd http://10.0.0.1:2379, prefix /coreos.com/network`. */
  readonly description: string;
  /**
   * Where a host's subnet comes from: `acquire` chooses it out of the network configuration, or the store gives it, of whatever length
   * (a node's podCIDR).
   */
  readonly subnets: "chosen" | "given";
  readonly remedies: LeaseRemedies;
  /** Returns the text of the network configuration. @throws NoConfig; StoreError */
  readConfig(): Promise<string>;
  /**
   * Returns the attributes that this host published when it last ran, from a store where they outlive the lease (a node's annotations).
   * A device that is created again gets the MAC in them, which the peers have. undefined: none are known.
   *
   * @throws StoreError
   */
  findPublished(): Promise<LeaseAttributes | undefined>;
  /**
   * Returns this host's lease, with the attributes of the request written to it.
   *
   * @throws NoSubnet; StoreError; Error the network is none that this store can have
   */
  acquire(network: NetworkConfig, request: LeaseRequest): Promise<Lease>;
  /** Follows the leases of the other hosts, and keeps our own. */
  follow(own: Lease, handler: LeaseHandler): Membership;
  /** Replaces all connections at once, because the host's addresses have changed. No event is missed. */
  reconnect(): void;
  close(): Promise<void>;
}

/** What an administrator does about leases, with the means of the store. Each is all or the end of a "To fix: ". */
export interface LeaseRemedies {
  /** An entry of the store is no lease. */
  malformed: string;
  /** A peer's lease lacks what is needed to reach its host. */
  incomplete: string;
  /** A peer's lease has our own public address. */
  ourAddress: string;
  /** A lease overlaps our own. */
  overlap: string;
  /** Several leases have one public address. */
  severalLeases: string;
  /** A peer's subnet is in the way of a host's own network. */
  peerSubnet: string;
  /** Our own subnet is in the way of this host's own network. */
  ownSubnet: string;
  /** Our own lease lacks a family that the network has. */
  ownFamily: string;
}

export interface LeaseRequest {
  attributes: LeaseAttributes;
  /** The subnets of this host's last run, from subnet.env. */
  previous?: Subnets | undefined;
  /** Networks that this host has an address in: a subnet that is chosen for it overlaps none of them. */
  local?: readonly Prefix[];
}

/** This host's part in the cluster. */
export interface Membership {
  /** Returns our own lease as last known. */
  lease(): Lease;
  /** Returns the peers as the store has them. */
  peers(): ReadonlyMap<LeaseId, Lease>;
  /** Returns the malformed leases that are in the store now, with the reason. */
  malformed(): ReadonlyMap<LeaseId, string>;
  /** Publishes changed attributes (address, device) at once, or as soon as the store answers. */
  changeAttributes(attributes: LeaseAttributes): void;
  /** Ends all of it; the lease remains. */
  stop(): void;
}

export interface LeaseChanges {
  /** New or changed leases; not those that were only renewed. */
  changed: readonly Lease[];
  /** A lease that is gone has an identity and nothing else. */
  gone: readonly LeaseId[];
}

export interface PeerHandler {
  /** Called first, once, with all peers. A dual-stack lease keeps both subnets even if this host has one family. */
  peers(all: readonly Lease[]): void;
  /** Called with later changes; events that arrive together are reported in one call. */
  changed(changes: LeaseChanges): void;
  /** Called once per lease and reason for leases that are skipped. A peer whose lease becomes malformed keeps its last valid state. */
  malformed(malformed: Malformed): void;
  /** Called when the store is lost (with the error) and when it answers again (undefined). */
  trouble(why: Error | undefined): void;
}

export interface LeaseHandler extends PeerHandler {
  /** Called after every renewal, and when the lease is ours again. */
  leaseHeld(lease: Lease): void;
  /** Called when another host has our subnet; `reason` names the host and the remedy. Called again only when the reason changes. */
  leaseLost(reason: string): void;
}
