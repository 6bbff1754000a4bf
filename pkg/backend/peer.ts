/** A peer as its lease has it, as far as it can be believed: who may write into the store must not lead this host's packets elsewhere. Pure. */
import { showJson } from "../cni/json.ts";
import { type Address, contains, formatAddress, formatPrefix, type Prefix } from "../ip/address.ts";
import { type FamilyName, familyWords } from "../ip/family.ts";
import type { Lease, LeaseAttributes } from "../subnet/lease.ts";
import type { ExternalInterface } from "./backend.ts";
import { isUnicast, sameAddress } from "./interface-address.ts";

/** A peer in one family. */
export interface Peer {
  family: FamilyName;
  subnet: Prefix;
  /** Where its host is. */
  publicIP: Address;
  /** For what a backend alone understands. */
  attributes: LeaseAttributes;
}

/** Nothing leads there. `message` completes "a host cannot be reached:" with what its lease has, and what is expected. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

/** What we are ourselves, in that family. */
export interface Viewpoint {
  family: FamilyName;
  /** `vxlan`: a peer of another backend does not understand us. */
  backendType: string;
  /** Of the overlay. */
  network: Prefix;
  external: ExternalInterface;
}

/**
 * @returns undefined: it has no part of this family
 * @throws Unreachable
 */
export function peerOf(lease: Lease, { family, backendType, network, external }: Viewpoint): Peer | undefined {
  const { attributes } = lease;
  const subnet = lease[family];
  if (subnet === undefined) return undefined;
  if (attributes.backendType !== backendType)
    throw new Unreachable(`its backend is ${showJson(attributes.backendType)}, ours is ${showJson(backendType)}`);
  if (subnet.length <= network.length || !contains(network, subnet.address))
    throw new Unreachable(`its subnet ${formatPrefix(subnet)} is no part of the network ${formatPrefix(network)}`);
  const publicIP = family === "ipv4" ? attributes.publicIP : attributes.publicIPv6;
  if (publicIP === undefined) throw new Unreachable(`it has no ${family === "ipv4" ? "PublicIP" : "PublicIPv6"}`);
  checkPublicIP(publicIP, family, external);
  return { family, subnet, publicIP, attributes };
}

/** What the kernel sends to itself through a tunnel comes out of it again at once, and goes round until its hop limit ends. */
function checkPublicIP(publicIP: Address, family: FamilyName, external: ExternalInterface): void {
  const own = family === "ipv4" ? [external.ipv4, external.publicIP] : [external.ipv6, external.publicIPv6];
  if (own.some((address) => sameAddress(address, publicIP)))
    throw new Unreachable(
      `its public address ${formatAddress(publicIP)} is our own: delete the lease if this host had it before, else give each host its own address`,
    );
  if (!isUnicast(publicIP))
    throw new Unreachable(`its public address ${formatAddress(publicIP)} is no host's ${familyWords[family]} address`);
}
