import { native } from "#native";

/** Returns the SHA-512 hash of the bytes (FIPS 180-4), which names chains of iptables. */
export const sha512 = (bytes: Uint8Array): Uint8Array => native.sha512(bytes);
