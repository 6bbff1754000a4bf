/** Hardware addresses. */
import { invalidConf } from "../cni/error.ts";
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
 * Parses the first of several texts that is given: a configuration can name the MAC in several places.
 *
 * @throws CniError 7: it is not a MAC
 */
export function wantedMac(...texts: readonly (string | undefined)[]): Uint8Array | undefined {
  const text = texts.find((one) => one !== undefined && one !== "");
  if (text === undefined) return undefined;
  const mac = parseMac(text);
  if (mac !== undefined) return mac;
  throw invalidConf(`"${text}" is not a MAC address`, "write six hexadecimal bytes with colons: 02:42:0a:01:00:05");
}

/** Returns `02:42:0a:01:00:05`, the form in results. */
export function formatMac(mac: Uint8Array): string {
  let text = "";
  for (const byte of mac) text += `${text === "" ? "" : ":"}${byte < 16 ? "0" : ""}${byte.toString(16)}`;
  return text;
}

/** Returns a random MAC as the kernel makes them: locally administered, unicast (RFC 7042, section 2.1). */
export function randomMac(): Uint8Array {
  const mac = randomBytes(6);
  mac[0] = ((mac[0] ?? 0) & 0xfe) | 0x02;
  return mac;
}
