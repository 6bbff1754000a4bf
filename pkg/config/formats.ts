/** The values of `format` in our schemas, and their descriptions for messages. Pure. */
import { parseAddress, parsePrefix } from "../ip/address.ts";

interface Format {
  fits(text: string): boolean;
  /** Completes "must be …". */
  allowed: string;
}

/** The formats by the name that schemas use. The compiled validators import this table. */
export const formats = {
  ip: { fits: (text) => parseAddress(text) !== undefined, allowed: 'an IP address, as "10.1.2.3" or "fd00::1"' },
  cidr: {
    fits: (text) => parsePrefix(text) !== undefined,
    allowed: 'an IP address with its prefix length, as "10.1.0.0/16" or "fd00::/64"',
  },
  linkAddress: { fits: isLinkAddress, allowed: 'a hardware address of up to 32 bytes, as "0a:58:0a:01:00:02"' },
  mac: { fits: isMac, allowed: 'a hardware address, as "0a:58:0a:01:00:02"' },
  interfaceMac: {
    fits: isInterfaceMac,
    allowed: 'the MAC of an interface, neither zero nor multicast (an odd first byte), as "0a:58:0a:01:00:02"',
  },
  ethernetMac: {
    fits: isEthernetMac,
    allowed: 'a MAC of 6 bytes, neither zero nor multicast (an odd first byte), as "0a:58:0a:01:00:02"',
  },
  ifname: {
    fits: isInterfaceName,
    allowed: 'an interface name: 1 to 15 bytes, neither "." nor "..", without "/", ":" and white space',
  },
  linkName: {
    fits: isLinkName,
    allowed: "the name or an alternative name of an interface: 1 to 127 bytes, without NUL",
  },
} as const satisfies Record<string, Format>;

/** The functions that ajv calls. */
export const checks: Readonly<Record<string, (text: string) => boolean>> = Object.fromEntries(
  Object.entries(formats).map(([name, { fits }]) => [name, fits]),
);

/** linux/if.h: IFNAMSIZ is 16, with the NUL at the end. */
const maxInterfaceNameBytes = 15;

/** linux/if.h: ALTIFNAMSIZ is 128, with the NUL at the end. */
const maxAlternativeNameBytes = 127;

/** Checks like the kernel, which refuses no character in an alternative name. For names that are looked up, not for those of new links. */
export function isLinkName(text: string): boolean {
  return text !== "" && byteLength(text) <= maxAlternativeNameBytes && !text.includes("\0");
}

/** Reports whether a name can only be an alternative one: rtnetlink takes it in another attribute. */
export const isLongLinkName = (text: string): boolean => byteLength(text) > maxInterfaceNameBytes;

/** The Unicode property White_Space, which includes U+0085, unlike `\s`, and excludes U+FEFF. The kernel ends the name at a NUL. */
const refusedInInterfaceNames = /[\0/:\p{White_Space}]/u;

/** Checks like the kernel's dev_valid_name, which works on the bytes of UTF-8: it counts them, and takes 0xa0, as in "à", for a space. */
export function isInterfaceName(text: string): boolean {
  return (
    text !== "" &&
    text !== "." &&
    text !== ".." &&
    byteLength(text) <= maxInterfaceNameBytes &&
    !refusedInInterfaceNames.test(text) &&
    (ascii.test(text) || !encodeURIComponent(text.replace(/\p{Surrogate}/gu, "\ufffd")).includes("%A0"))
  );
}

/** Accepts addresses of any link layer, as Go prints them; tunnels have 4 or 16 bytes. linux/netdevice.h: MAX_ADDR_LEN is 32. */
function isLinkAddress(text: string): boolean {
  return isMac(text) || /^[0-9a-f]{2}(?::[0-9a-f]{2}){0,31}$/i.test(text);
}

const colonOrDash = /^[0-9a-f]{2}(?:(?::[0-9a-f]{2})+|(?:-[0-9a-f]{2})+)$/i;
const dotted = /^[0-9a-f]{4}(?:\.[0-9a-f]{4})+$/i;
const ethernetDigits = 12;
const macDigits: readonly number[] = [ethernetDigits, 16, 40];

/** Accepts what Go's net.ParseMAC accepts: 6, 8 or 20 bytes as `0a:58:…`, `0a-58-…` or `0a58.…`. */
function isMac(text: string): boolean {
  return (colonOrDash.test(text) || dotted.test(text)) && macDigits.includes(text.replaceAll(/[:.-]/g, "").length);
}

/** Accepts what Ethernet interfaces can have (is_valid_ether_addr in linux/etherdevice.h), and any of 8 or 20 bytes, as InfiniBand's. */
function isInterfaceMac(text: string): boolean {
  if (!isMac(text)) return false;
  const digits = text.replaceAll(/[:.-]/g, "");
  return (
    digits.length !== ethernetDigits || (/[1-9a-f]/i.test(digits) && Number.parseInt(digits.slice(0, 2), 16) % 2 === 0)
  );
}

/** Accepts the MACs that links of our own can have. */
export function isEthernetMac(text: string): boolean {
  return isInterfaceMac(text) && text.replaceAll(/[:.-]/g, "").length === ethernetDigits;
}

const ascii = /^[\0-\x7f]*$/;

/** Returns the length in UTF-8. */
function byteLength(text: string): number {
  if (ascii.test(text)) return text.length; // nearly all names, and the interpreter takes long for the loop
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
