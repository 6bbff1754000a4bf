/** The interface of a backend, which makes devices, routes and neighbours for the peers. Each backend is a record of functions. */

import type { Lease, LeaseAttributes, Subnets } from "../../cluster/lease/lease.ts";
import type { LeaseChanges, LeaseRemedies } from "../../cluster/lease/manager.ts";
import type { NetworkConfig } from "../../cluster/lease/network-config.ts";
import type { Log } from "../../cluster/log/log.ts";
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
  route: Connection;
  external: ExternalInterface;
  network: NetworkConfig;
  /** The attributes that this host published when it last ran, if the store still has them. */
  published: LeaseAttributes | undefined;
  remedies: LeaseRemedies;
  log: Log;
}

/** The backend's part of our lease's attributes. */
export type OwnAttributes = Pick<LeaseAttributes, "backendType" | "backendData" | "backendV6Data">;

/** The result of one pass. */
export interface Programmed {
  added: number;
  removed: number;
  /** Entries that the kernel refused, as "route 10.5.3.0/24 via …", with its error. The rest was done; `repair` tries these again. */
  refused: readonly string[];
}

/** Called in this order: attributes, setOwnLease, setPeers; then any of the others. All synchronous. */
export interface Backend {
  /** The MTU of containers, FLANNEL_MTU. */
  readonly mtu: number;
  /** The backend's devices as they should be, after `attributes`. Their MTU differs from FLANNEL_MTU if an IPv6 tunnel needs more bytes. */
  readonly devices: readonly Device[];
  /** Creates the device unless one that fits exists. @throws Error says what is wrong, with the remedy */
  attributes(): OwnAttributes;
  /** Sets the device's addresses, and sets it up. @throws Error says what is wrong, with the remedy */
  setOwnLease(own: Subnets): void;
  /** Sets all peers; removes entries of any others. One pass of large sends. */
  setPeers(peers: readonly Lease[]): Programmed;
  /** Applies changes of peers; sends only differences. */
  changePeers(changes: LeaseChanges): Programmed;
  /** Reports whether a netlink message (link, address, route, neighbour) may mean that `repair` has something to do. Cheap. */
  concerns(message: Nlmsg): boolean;
  /** Compares the kernel's device, addresses and entries with the wanted ones, and corrects the differences. */
  repair(): Programmed;
  /** Adapts the device to changed addresses or MTU of the interface; `attributes` and `mtu` have new values afterwards. */
  follow(external: ExternalInterface): void;
  /** Lists peers' entries that are missing or different now, for `flanneld --status`: "route 10.5.3.0/24 via … is missing". */
  missing(): readonly string[];
  /** Lists reasons why peers cannot be reached that `repair` cannot correct, with remedies. */
  obstacles(): readonly Obstacle[];
}

export interface Obstacle {
  text: string;
  remedy: string;
}
