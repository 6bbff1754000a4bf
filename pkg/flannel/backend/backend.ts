/**
 * The interface of a backend, which makes devices, routes and neighbours for the peers. Each backend is a record of functions, and says
 * everything about itself: nothing else knows a backend by its name (docs/adding-a-backend.md).
 */

import type { Lease, LeaseAttributes, Subnets } from "../../cluster/lease/lease.ts";
import type { LeaseChanges, LeaseRemedies } from "../../cluster/lease/manager.ts";
import type { NetworkConfig } from "../../cluster/lease/network-config.ts";
import type { Log } from "../../cluster/log/log.ts";
import type { JsonSchema } from "../../config/schema.ts";
import type { Address } from "../../ip/address.ts";
import type { FamilyName } from "../../ip/family.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { Nlmsg } from "../../netlink/nlmsg.ts";

/** The interface that leads to the other hosts, with the address of each family that the network has. */
export interface ExternalInterface {
  index: number;
  name: string;
  mtu: number;
  /** The interface's own addresses. */
  ipv4?: Address;
  ipv6?: Address;
  /** The addresses at which other hosts reach it; they differ from its own behind NAT. */
  publicIP?: Address;
  publicIPv6?: Address;
}

export interface Device {
  family: FamilyName;
  name: string;
  mtu: number;
}

export interface BackendContext {
  /** The rtnetlink socket of the host's namespace. */
  rtnl: Connection;
  external: ExternalInterface;
  network: NetworkConfig;
  /** The attributes that this host published when it last ran, if the store still has them. */
  published: LeaseAttributes | undefined;
  /** What a path that is this daemon's alone begins with, as `/run/flannel/subnet`: the backend adds an ending. */
  statePath: string;
  remedies: LeaseRemedies;
  log: Log;
}

/** A type of backend, as the registry has it. */
export interface BackendType {
  /** The schemas of its keys in the `Backend` object of the network configuration, without `Type`. */
  readonly keys: BackendKeys;
  /** Creates it; asks the kernel nothing. @throws Error it cannot work on this host or in this network; says why, with the remedy */
  create(context: BackendContext): Backend;
  /** Ends the processes that an earlier daemon with this backend has left; called when another one is configured. */
  endLeftovers?(context: Pick<BackendContext, "statePath" | "log">): Promise<void>;
}

export type BackendKeys = Readonly<Record<string, JsonSchema>>;

/** Our subnets, and until when they are ours. */
export type OwnLease = Subnets & Pick<Lease, "expiresMs">;

/** The backend's part of our lease's attributes. */
export type OwnAttributes = Pick<LeaseAttributes, "backendType" | "backendData" | "backendV6Data">;

/** The result of one pass. */
export interface ApplyResult {
  added: number;
  removed: number;
  /** Entries that the kernel refused, as "route 10.5.3.0/24 via …", with its error. The rest was done; `repair` tries these again. */
  refused: readonly string[];
}

/**
 * A running backend. The methods that return promises are called in this order: attributes, setOwnLease, setPeers; then any of them; last
 * close, also if one of the others has failed. None is called before the promise of the one before has settled. The other methods may be
 * called at any time after `attributes`.
 */
export interface Backend {
  /** The MTU of containers, FLANNEL_MTU. */
  readonly mtu: number;
  /** The bytes that it adds to each packet between hosts. */
  readonly overheadBytes: number;
  /** The backend's devices as they should be, after `attributes`. Their MTU differs from FLANNEL_MTU if an IPv6 tunnel needs more bytes. */
  readonly devices: readonly Device[];
  /**
   * Whether it can read its entries back and compare. If not, as with commands of the administrator, `repair` only tries again what has
   * failed, `missing` only lists that, and nothing calls `repair` at intervals.
   */
  readonly canReadBack: boolean;
  /** Creates the device unless one that fits exists. @throws Error says what is wrong, with the remedy */
  attributes(): Promise<OwnAttributes>;
  /** Sets the device's addresses, and sets it up; called again with each renewal. @throws Error says what is wrong, with the remedy */
  setOwnLease(own: OwnLease): Promise<void>;
  /** Sets all peers; removes entries of any others. One pass of large sends. */
  setPeers(peers: readonly Lease[]): Promise<ApplyResult>;
  /** Applies changes of peers; sends only differences. */
  changePeers(changes: LeaseChanges): Promise<ApplyResult>;
  /** Reports whether a netlink message (link, address, route, neighbour) may mean that `repair` has something to do. Cheap. */
  concerns(message: Nlmsg): boolean;
  /** Sets what to call when `repair` has something to do of which the kernel does not tell, such as after a process has ended. */
  onFault?(repairLater: () => void): void;
  /** Compares the kernel's device, addresses and entries with the wanted ones, and corrects the differences. */
  repair(): Promise<ApplyResult>;
  /** Adapts the device to changed addresses or MTU of the interface; `attributes` and `mtu` have new values afterwards. */
  follow(external: ExternalInterface): Promise<void>;
  /** Reads the counters of a data path that is the backend's own, for metrics and `flanneld --status`; undefined: it does not run, or does not answer. */
  counters?(): Promise<Readonly<Record<string, number>> | undefined>;
  /** Lists peers' entries that are missing or different now, for `flanneld --status`: "route 10.5.3.0/24 via … is missing". */
  missing(): readonly string[];
  /** Lists reasons why peers cannot be reached that `repair` cannot correct, with remedies. */
  obstacles(): readonly Obstacle[];
  /** The ports at which the hosts send each other what the backend carries, for `flanneld --status`; absent: it needs none. */
  readonly underlayPorts?: readonly UnderlayPort[];
  /** Returns the address to ping on a peer, through this backend; undefined: there is none. The peer has the same backend. */
  probeAddress(peer: Lease, family: FamilyName): Address | undefined;
  /** The advice for a peer that does not answer to it. */
  readonly adviceWhenSilent: string;
  /** Ends the processes and sockets that are its own. What is in the kernel stays, if it works without them. */
  close(): Promise<void>;
}

export interface UnderlayPort {
  /** The family of the packets between the hosts. */
  family: FamilyName;
  /** A UDP port. */
  port: number;
}

export interface Obstacle {
  text: string;
  remedy: string;
}
