/** The two families, by the names that keys of our records have. */
export const familyNames = ["ipv4", "ipv6"] as const;
export type FamilyName = (typeof familyNames)[number];

/** For messages. */
export const familyWords = { ipv4: "IPv4", ipv6: "IPv6" } as const satisfies Record<FamilyName, string>;
