/**
 * DHCP options: a table with a row for each that is read or requested by name. Pure.
 *
 * @see RFC 2132; RFC 3397 for domain-search, RFC 3442 for classless-static-routes
 */
import { type Address, formatAddress, formatPrefix, networkOf, type Prefix } from "../ip/address.ts";
import { decode } from "../sys/text.ts";
import type { Options } from "./message.ts";

/** Converts the bytes of an option to a value; undefined: they are malformed. */
type Kind<Value> = (bytes: Uint8Array) => Value | undefined;

export interface StaticRoute {
  destination: string;
  /** "0.0.0.0": the destination is on the link. */
  router: string;
}

const address: Kind<string> = (bytes) => (bytes.length === 4 ? formatAddress(bytes) : undefined);
const addresses: Kind<string[]> = (bytes) =>
  bytes.length > 0 && bytes.length % 4 === 0 ? every(bytes, 4).map(formatAddress) : undefined;
const number: Kind<number> = (bytes) => bytes.reduce((value, byte) => value * 256 + byte, 0);
const sized =
  (size: number): Kind<number> =>
  (bytes) =>
    bytes.length === size ? number(bytes) : undefined;
/** Decodes a text; some servers send a NUL at its end. */
const text: Kind<string> = (bytes) => decode(bytes).replace(/\0+$/, "") || undefined;

/** Returns a mask's length; undefined: its ones are not contiguous. */
function maskLength(bytes: Uint8Array): number | undefined {
  if (bytes.length !== 4) return undefined;
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return /^1*0*$/.test(bits) ? bits.replaceAll("0", "").length : undefined;
}

/** Decodes pairs of a network, whose length is that of its class, and a router. */
function classfulRoutes(bytes: Uint8Array): StaticRoute[] {
  return every(bytes, 8)
    .filter((pair) => pair.length === 8)
    .flatMap((pair) => {
      const length = classLength(pair[0] ?? 0);
      if (length === undefined) return [];
      return [
        { destination: prefixText({ address: pair.subarray(0, 4), length }), router: formatAddress(pair.subarray(4)) },
      ];
    });
}

/** Returns the prefix length of a class; undefined for multicast, which has none, and for 0.0.0.0, which RFC 2132 forbids here. */
const classLength = (first: number): number | undefined =>
  first === 0 || first >= 224 ? undefined : first < 128 ? 8 : first < 192 ? 16 : 24;

/** Decodes prefix length, significant bytes of the network, and router of each route; a malformed one invalidates all. */
function classlessRoutes(bytes: Uint8Array): StaticRoute[] | undefined {
  const routes: StaticRoute[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes[at] ?? 0;
    const size = Math.ceil(length / 8);
    const router = bytes.subarray(at + 1 + size, at + 1 + size + 4);
    if (length > 32 || router.length < 4) return undefined;
    const network = new Uint8Array(4);
    network.set(bytes.subarray(at + 1, at + 1 + size));
    routes.push({ destination: prefixText({ address: network, length }), router: formatAddress(router) });
    at += 1 + size + 4;
  }
  return routes.length > 0 ? routes : undefined;
}

const prefixText = (prefix: Prefix): string => formatPrefix(networkOf(prefix));

/** Decodes names in DNS encoding, in which the end of a name may be a pointer to an earlier one (compression). */
function domains(bytes: Uint8Array): string[] | undefined {
  const names: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const name = domainAt(bytes, at);
    if (name === undefined) return undefined;
    if (name.text !== "") names.push(name.text);
    at = name.end;
  }
  return names.length > 0 ? names : undefined;
}

const REFERENCE = 0xc0;
const LONGEST_LABEL = 63;
const LONGEST_NAME = 255;

function domainAt(bytes: Uint8Array, start: number): { text: string; end: number } | undefined {
  const labels: string[] = [];
  let end: number | undefined;
  let size = 0;
  for (let at = start; ; ) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) return { text: labels.join("."), end: end ?? at + 1 };
    if ((length & REFERENCE) === REFERENCE) {
      const target = ((length & ~REFERENCE) << 8) | (bytes[at + 1] ?? 0xff);
      if (target >= at) return undefined; // only backwards, so that it terminates
      end ??= at + 2;
      at = target;
      continue;
    }
    size += length + 1;
    if (length > LONGEST_LABEL || size > LONGEST_NAME || at + 1 + length > bytes.length) return undefined;
    const label = decode(bytes, at + 1, at + 1 + length);
    if (!/^[A-Za-z0-9_-]+$/.test(label)) return undefined; // for a resolv.conf
    labels.push(label);
    at += 1 + length;
  }
}

function every(bytes: Uint8Array, size: number): Address[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

/** Number and decoder of each option, by our names. */
const table = {
  subnetMask: [1, maskLength],
  routers: [3, addresses],
  nameServers: [6, addresses],
  hostName: [12, text],
  domainName: [15, text],
  mtu: [26, sized(2)],
  staticRoutes: [33, classfulRoutes],
  timeServers: [42, addresses],
  requestedAddress: [50, address],
  leaseSeconds: [51, sized(4)],
  messageType: [53, sized(1)],
  server: [54, address],
  requestList: [55, (bytes: Uint8Array) => [...bytes]],
  message: [56, text],
  renewalSeconds: [58, sized(4)],
  rebindingSeconds: [59, sized(4)],
  vendorClass: [60, text],
  clientId: [61, (bytes: Uint8Array) => bytes],
  userClass: [77, text],
  domainSearch: [119, domains],
  classlessRoutes: [121, classlessRoutes],
} as const satisfies Record<string, readonly [code: number, kind: Kind<unknown>]>;

export type OptionName = keyof typeof table;
type ValueOf<Name extends OptionName> = Exclude<ReturnType<(typeof table)[Name][1]>, undefined>;

export const codeOf = (name: OptionName): number => table[name][0];

/** Reads an option; undefined: it is absent or malformed. */
export function readOption<Name extends OptionName>(options: Options, name: Name): ValueOf<Name> | undefined {
  const [code, kind] = table[name];
  const bytes = options.get(code);
  return bytes === undefined ? undefined : (kind(bytes) as ValueOf<Name> | undefined);
}

/** The option names in configurations, from dhcp-options(5). */
export const configNames: ReadonlyMap<string, number> = new Map([
  ["dhcp-client-identifier", codeOf("clientId")],
  ["subnet-mask", codeOf("subnetMask")],
  ["routers", codeOf("routers")],
  ["host-name", codeOf("hostName")],
  ["user-class", codeOf("userClass")],
  ["vendor-class-identifier", codeOf("vendorClass")],
]);

/** Parses an option's name in a configuration: one of the names, or a decimal number up to 255. */
export function parseOptionName(name: string): number | undefined {
  const known = configNames.get(name);
  if (known !== undefined) return known;
  return /^\d+$/.test(name) && Number(name) <= 255 ? Number(name) : undefined;
}
