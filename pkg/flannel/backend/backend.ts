/** What a backend makes of the cluster on this host: devices, routes, neighbours. A record of functions per backend. */

import type { Lease, LeaseAttributes, Subnets } from "../../cluster/lease/lease.ts";
import type { NetworkConfig } from "../../cluster/lease/network-config.ts";
import type { LeaseChanges } from "../../cluster/lease/watch-peers.ts";
import type { Log } from "../../cluster/log/log.ts";
import type { Address } from "../../ip/address.ts";
import type { FamilyName } from "../../ip/family.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { Frame } from "../../netlink/frame.ts";

/** The interface that leads to the other hosts, with the address of each family that the network has. */
export interface ExternalInterface {
  index: number;
  name: string;
  mtu: number;
  /** Its own addresses. */
  ipv4?: Address;
  ipv6?: Address;
  /** Where the other hosts reach it; differs from its own address behind NAT. */
  publicIP?: Address;
  publicIPv6?: Address;
}

export interface Device {
  family: FamilyName;
  name: string;
  mtu: number;
}

export interface BackendContext {
  /** Routing socket of the host's namespace. */
  route: Connection;
  external: ExternalInterface;
  network: NetworkConfig;
  log: Log;
}

/** What our lease says of us. */
export type OwnAttributes = Pick<LeaseAttributes, "backendType" | "backendData" | "backendV6Data">;

/** What was done in one pass. */
export interface Programmed {
  added: number;
  removed: number;
  /** What the kernel refused: "route 10.5.3.0/24 via …", with its words. The rest was done; `repair` tries these again. */
  refused: readonly string[];
}

/** Called in this order: attributes, takeLease, setPeers; then any of the others. All synchronous. */
export interface Backend {
  /** FLANNEL_MTU. */
  readonly mtu: number;
  /** Its own devices as they should be; their MTU differs from FLANNEL_MTU where a tunnel of IPv6 takes more. Once `attributes` has made them. */
  readonly devices: readonly Device[];
  /** Makes the device where there is none that fits. @throws Error what is wrong, and the remedy */
  attributes(): OwnAttributes;
  /** The device's addresses; up. @throws Error what is wrong, and the remedy */
  takeLease(own: Subnets): void;
  /** Exactly these peers from now on: what is left of others goes as well. One pass of large sends. */
  setPeers(peers: readonly Lease[]): Programmed;
  /** Sends differences only. */
  changePeers(changes: LeaseChanges): Programmed;
  /** Whether a message of the kernel (link, address, route, neighbour) may mean that something must be mended. Cheap. */
  concerns(message: Frame): boolean;
  /** Compares the kernel's device, addresses and entries with what should be there, and mends only that. */
  repair(): Programmed;
  /** The interface has other addresses or another MTU: the device follows. `attributes` and `mtu` are new afterwards. */
  follow(external: ExternalInterface): void;
  /** What of the peers' entries is missing or different right now, for `flanneld --status`: "route 10.5.3.0/24 via … is missing". */
  missing(): readonly string[];
  /** What keeps it from leading to some peers, and what to do; repairing does not help. */
  obstacles(): readonly Obstacle[];
}

export interface Obstacle {
  text: string;
  remedy: string;
}
