/** The two address families. The firewall has nft's names for them (pkg/firewall/family.ts), results up to spec 0.4.0 the digits alone. */
import { type Address, isIPv4 } from "./address.ts";

/** By the names of keys in our records. */
export const familyNames = ["ipv4", "ipv6"] as const;
export type FamilyName = (typeof familyNames)[number];

/** The families' names for messages. */
export const familyWords = { ipv4: "IPv4", ipv6: "IPv6" } as const satisfies Record<FamilyName, string>;

/** RFC 791 and RFC 8200: below this MTU the kernel removes the protocol, and its addresses, from a link. */
export const LEAST_MTU = { ipv4: 68, ipv6: 1280 } as const satisfies Record<FamilyName, number>;

export const familyOf = (address: Address): FamilyName => (isIPv4(address) ? "ipv4" : "ipv6");
