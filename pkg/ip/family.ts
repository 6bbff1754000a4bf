/** The two address families, by the names of keys in our records. */
export const familyNames = ["ipv4", "ipv6"] as const;
export type FamilyName = (typeof familyNames)[number];

/** The families' names for messages. */
export const familyWords = { ipv4: "IPv4", ipv6: "IPv6" } as const satisfies Record<FamilyName, string>;
