/** Hardware addresses. */
import { hex } from "../bytes/hex.ts";
import { invalidConf } from "../cni/error.ts";
import { formats } from "../config/formats.ts";
import { randomBytes } from "../sys/random.ts";

/** Parses colon, dash or dotted notation of 6, 8 or 20 bytes, as net.ParseMAC of Go does; returns undefined for anything else. */
export function parseMac(text: string): Uint8Array | undefined {
  const groups = /^[0-9a-f]{4}(\.[0-9a-f]{4})+$/i.test(text)
    ? text.split(".").flatMap((group) => [group.slice(0, 2), group.slice(2)])
    : text.split(text.includes("-") ? "-" : ":");
  const known = groups.length === 6 || groups.length === 8 || groups.length === 20;
  if (!known || !groups.every((group) => /^[0-9a-f]{2}$/i.test(group))) return undefined;
  return Uint8Array.from(groups, (group) => Number.parseInt(group, 16));
}

/**
 * Parses the first of several texts that is given: a configuration can name the MAC of a link to make in several places.
 *
 * @throws CniError 7: it is not a MAC, or one that no Ethernet interface can have
 */
export const wantedMac = (...texts: readonly (string | undefined)[]): Uint8Array | undefined =>
  firstMac(texts, formats.ethernetMac);

/** Does the same for an interface that is there, which may be one of InfiniBand. @throws CniError 7 */
export const wantedInterfaceMac = (...texts: readonly (string | undefined)[]): Uint8Array | undefined =>
  firstMac(texts, formats.interfaceMac);

function firstMac(
  texts: readonly (string | undefined)[],
  { fits, allowed }: (typeof formats)["ethernetMac" | "interfaceMac"],
): Uint8Array | undefined {
  const text = texts.find((one) => one !== undefined && one !== "");
  if (text === undefined) return undefined;
  const mac = fits(text) ? parseMac(text) : undefined;
  if (mac !== undefined) return mac;
  throw invalidConf(
    parseMac(text) === undefined ? `"${text}" is not a MAC address` : `MAC is "${text}", must be ${allowed}`,
    "write six hexadecimal bytes with colons: 02:42:0a:01:00:05",
  );
}

/** Returns `02:42:0a:01:00:05`, the form in results. */
export const formatMac = (mac: Uint8Array): string => hex(mac, ":");

/** Returns a random MAC as the kernel makes them: locally administered, unicast (RFC 7042, section 2.1). */
export function randomMac(): Uint8Array {
  const mac = randomBytes(6);
  mac[0] = ((mac[0] ?? 0) & 0xfe) | 0x02;
  return mac;
}

/** Returns the address of fe80::/64 that the kernel makes of an Ethernet MAC: RFC 4291, appendix A; undefined for another MAC. */
export function linkLocalAddress(mac: string): Uint8Array | undefined {
  const bytes = parseMac(mac);
  if (bytes?.length !== 6) return undefined;
  const [first = 0, ...rest] = bytes;
  const low = [first ^ 0x02, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)];
  return Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...low);
}
