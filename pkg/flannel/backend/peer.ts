/** Validates a peer's lease: a client that may write to the store must not be able to redirect this host's own packets. Pure. */

import type { Lease, LeaseAttributes } from "../../cluster/lease/lease.ts";
import type { LeaseRemedies } from "../../cluster/lease/manager.ts";
import { showJson } from "../../config/json.ts";
import { type Address, contains, formatAddress, formatPrefix, type Prefix } from "../../ip/address.ts";
import { type FamilyName, familyWords } from "../../ip/family.ts";
import type { ExternalInterface } from "./backend.ts";
import { isUnicast, sameAddress } from "./interface/address.ts";
import { conflictOf, isFirst, type LocalAddress, showLocal } from "./local-networks.ts";

/** A peer in one family. */
export interface Peer {
  family: FamilyName;
  subnet: Prefix;
  /** The address of its host. */
  publicIP: Address;
  /** The whole attributes, for data that only a backend understands. */
  attributes: LeaseAttributes;
}

/** The lease of a peer cannot be used. `message` completes "a host cannot be reached:" with what its lease has and what is expected. */
export class InvalidPeerLease extends Error {
  override name = "InvalidPeerLease";
  /** The remedy, if the message does not contain it. */
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** This host's own side, in one family. */
export interface Viewpoint {
  family: FamilyName;
  /** As `vxlan`: a peer with another backend cannot be reached. */
  backendType: string;
  /** The cluster network. */
  network: Prefix;
  external: ExternalInterface;
  /** This host's addresses whose networks overlap the cluster network. */
  local: readonly LocalAddress[];
  remedies: Pick<LeaseRemedies, "ourAddress" | "peerSubnet">;
}

/**
 * @returns undefined: the lease has no subnet of this family
 * @throws InvalidPeerLease
 */
export function peerOf(
  lease: Lease,
  { family, backendType, network, external, local, remedies }: Viewpoint,
): Peer | undefined {
  const { attributes } = lease;
  const subnet = lease[family];
  if (subnet === undefined) return undefined;
  if (attributes.backendType !== backendType)
    throw new InvalidPeerLease(
      `its backend is ${showType(attributes.backendType)}, ours is ${showJson(backendType || "udp")}`, // alloc has no peers
      'all hosts need the same "Backend": restart flanneld on those that were started before the network configuration was changed',
    );
  if (subnet.length <= network.length || !contains(network, subnet.address))
    throw new InvalidPeerLease(
      `its subnet ${formatPrefix(subnet)} is not part of the network ${formatPrefix(network)}`,
    );
  checkLocal(subnet, network, local, remedies);
  const publicIP = family === "ipv4" ? attributes.publicIP : attributes.publicIPv6;
  if (publicIP === undefined) throw new InvalidPeerLease(`it has no ${family === "ipv4" ? "PublicIP" : "PublicIPv6"}`);
  checkPublicIP(publicIP, family, external, remedies);
  if (contains(subnet, publicIP))
    throw new InvalidPeerLease(
      `its public address ${formatAddress(publicIP)} is in its own subnet ${formatPrefix(subnet)}, whose route leads through that address`,
      remedies.peerSubnet,
    );
  return { family, subnet, publicIP, attributes };
}

/** Leases of these two have no type, as flannel writes them. */
const showType = (type: string): string => (type === "" ? "udp or alloc" : showJson(type));

/** Refuses a subnet that would take this host's neighbours or own addresses away. @throws InvalidPeerLease */
function checkLocal(
  subnet: Prefix,
  network: Prefix,
  local: readonly LocalAddress[],
  { peerSubnet }: Viewpoint["remedies"],
): void {
  const conflict = conflictOf(subnet, network, local);
  if (conflict === undefined) return;
  throw new InvalidPeerLease(
    `its subnet ${formatPrefix(subnet)} overlaps the network of this host's address ${showLocal(conflict)}, which takes precedence`,
    contains(subnet, conflict.address) && isFirst(conflict.address, subnet)
      ? `if the address is left over from an earlier lease: ip link delete ${conflict.link.name}; else ${peerSubnet}`
      : peerSubnet,
  );
}

/**
 * Refuses our own address and those that are no host's. Packets that the kernel sends to itself through a tunnel leave it again at
 * once, and circulate until their hop limit ends.
 *
 * @throws InvalidPeerLease
 */
function checkPublicIP(
  publicIP: Address,
  family: FamilyName,
  external: ExternalInterface,
  { ourAddress }: Viewpoint["remedies"],
): void {
  const own = family === "ipv4" ? [external.ipv4, external.publicIP] : [external.ipv6, external.publicIPv6];
  if (own.some((address) => sameAddress(address, publicIP)))
    throw new InvalidPeerLease(`its public address ${formatAddress(publicIP)} is our own: ${ourAddress}`);
  if (!isUnicast(publicIP))
    throw new InvalidPeerLease(
      `its public address ${formatAddress(publicIP)} is not a host's ${familyWords[family]} address`,
    );
}
