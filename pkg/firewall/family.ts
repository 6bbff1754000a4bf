// Address families by the names of nft and iptables (`table ip nat`, `ip6tables`), which are in texts and programs' names; and what depends
// on nothing but the family.
import { type Address, isIPv4, type Prefix } from "../ip/address.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../netlink/nftables/header.ts";

export type Family = "ip" | "ip6";

export const FAMILIES: readonly Family[] = ["ip", "ip6"];

export const familyOf = (address: Address): Family => (isIPv4(address) ? "ip" : "ip6");

/** The numbers of the families in messages. */
export const nfproto: Readonly<Record<Family, number>> = { ip: NFPROTO_IPV4, ip6: NFPROTO_IPV6 };

/** The length of an address, in bytes. */
export const ADDRESS_LENGTH: Readonly<Record<Family, number>> = { ip: 4, ip6: 16 };

/** The offsets of the addresses in the IP header, in bytes. */
export const ADDRESS_OFFSETS: Readonly<Record<Family, { source: number; destination: number }>> = {
  ip: { source: 12, destination: 16 },
  ip6: { source: 8, destination: 24 },
};

/** All multicast destinations. */
export const MULTICAST: Readonly<Record<Family, Prefix>> = {
  ip: { address: Uint8Array.of(224, 0, 0, 0), length: 4 },
  ip6: { address: Uint8Array.of(0xff, ...new Array(15).fill(0)), length: 8 },
};
