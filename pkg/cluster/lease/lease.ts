/** A lease: the subnet of one host, and what the other hosts must know to reach it. In flannel's format. Pure. */
import { memberOf } from "../../config/go-json.ts";
import { isObject, type Json, type JsonObject, parseJson, printJson, showJson } from "../../config/json.ts";
import {
  type Address,
  formatAddress,
  formatPrefix,
  isIPv4,
  networkOf,
  overlaps,
  type Prefix,
  parseAddress,
} from "../../ip/address.ts";

/** A host's subnets for its containers; host bits are zero. A lease in etcd always has `ipv4`. */
export interface Subnets {
  ipv4?: Prefix;
  ipv6?: Prefix;
}

/** The data that a host publishes in its lease. */
export interface LeaseAttributes {
  /** The address at which other hosts reach it; undefined is written as `0.0.0.0`. */
  publicIP?: Address;
  publicIPv6?: Address;
  /** "vxlan", "host-gw" …; "" for backends that leave it out (alloc, udp). */
  backendType: string;
  /** Data for the other hosts' backends of that type, per family: `{"VNI":1,"VtepMAC":"aa:bb:cc:dd:ee:ff"}`. */
  backendData?: Json;
  backendV6Data?: Json;
}

/** The name of a lease in its store: the same for as long as the lease exists, and all that is known of one that is gone. */
export type LeaseId = string;

export interface Lease extends Subnets {
  id: LeaseId;
  attributes: LeaseAttributes;
  /**
   * Milliseconds since 1970; undefined for one that never expires (a reservation). Of another host's lease a store may know only that
   * it has not expired: then this is the time of reading.
   */
  expiresMs?: number;
}

/**
 * Returns the key of a lease in etcd or a directory, which is its identity there: `10.12.13.0-24`, `10.12.13.0-24&fd00:12:13::-56`. Each lease has one key, and each key one lease.
 *
 * @throws Error for IPv6 alone, which has no key.
 */
export function keyOf({ ipv4, ipv6 }: Subnets): string {
  if (!ipv4)
    throw new Error(`${ipv6 ? formatPrefix(ipv6) : "a lease"} has no IPv4 subnet, which leases are named after`);
  return ipv6 ? `${keyPart(ipv4)}&${keyPart(ipv6)}` : keyPart(ipv4);
}

const keyPart = (subnet: Prefix): string => formatPrefix(subnet).replace("/", "-");

/**
 * Reverses `keyOf`.
 *
 * @returns undefined for every other text, also for those that flannel accepts: text before the address, host bits, another
 *   spelling of the same address. `0.0.0.0-0` is not a lease either: flannel writes it for hosts without IPv4.
 */
export function parseKey(key: string): Subnets | undefined {
  const [, base4 = "", length4, base6, length6] = keySyntax.exec(key) ?? [];
  const ipv4 = subnetOf(base4, Number(length4));
  const ipv6 = base6 === undefined ? undefined : subnetOf(base6, Number(length6));
  if (!ipv4) return undefined;
  const subnets = ipv6 ? { ipv4, ipv6 } : { ipv4 };
  return keyOf(subnets) === key ? subnets : undefined;
}
const keySyntax = /^([\d.]+)-(\d+)(?:&([a-f\d:]+)-(\d+))?$/;

/** Makes a subnet's prefix; undefined for a length of 0 or of all bits, which is an address and not a subnet. */
function subnetOf(base: string, length: number): Prefix | undefined {
  const address = parseAddress(base);
  return address && length > 0 && length < address.length * 8 ? networkOf({ address, length }) : undefined;
}

/** The message about a key that `parseKey` does not accept. */
const notAKey = "its name is not a subnet: expected one like 10.12.13.0-24 or 10.12.13.0-24&fd00:12:13::-56";

/** @throws Error says what is wrong with the key or its value; callers skip such a lease. */
export function readLease(key: string, value: string, expiresMs: number | undefined): Lease {
  const subnets = parseKey(key);
  if (!subnets) throw new Error(notAKey);
  return leaseOf(subnets, readAttributes(value), expiresMs);
}

/** Makes the lease that a store has under the key of these subnets. */
export function leaseOf({ ipv4, ipv6 }: Subnets, attributes: LeaseAttributes, expiresMs: number | undefined): Lease {
  const subnets = { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
  return { id: keyOf(subnets), ...subnets, attributes, ...(expiresMs !== undefined && { expiresMs }) };
}

/** Prints attributes as Go's encoding/json does, keys in flannel's order. */
export function printAttributes(attributes: LeaseAttributes): string {
  const { publicIP, publicIPv6, backendType, backendData, backendV6Data } = attributes;
  return printJson(
    {
      PublicIP: publicIP ? formatAddress(publicIP) : noAddress,
      PublicIPv6: publicIPv6 ? formatAddress(publicIPv6) : null,
      ...(backendType !== "" && { BackendType: backendType }),
      ...(backendData !== undefined && { BackendData: backendData }),
      ...(backendV6Data !== undefined && { BackendV6Data: backendV6Data }),
    },
    "",
  );
}
const noAddress = "0.0.0.0";

/** In characters: ten times what any backend writes. It also limits nesting, so that printing the value cannot overflow the stack. */
const LONGEST_VALUE = 4096;

/**
 * Reverses `printAttributes`. As in Go, keys are matched in any case and unknown ones are skipped.
 *
 * @throws Error says what is wrong with it
 */
export function readAttributes(text: string): LeaseAttributes {
  if (text.length > LONGEST_VALUE) throw new Error(`its value has ${text.length} characters, too many for a lease`);
  const value = parseJson(text);
  if (!isObject(value)) throw new Error(`its value is ${showJson(value)}, not an object like {"PublicIP":"192.0.2.1"}`);
  const publicIP = readAddress(value, "PublicIP", "IPv4");
  const publicIPv6 = readAddress(value, "PublicIPv6", "IPv6");
  const backendData = memberOf(value, "BackendData");
  const backendV6Data = memberOf(value, "BackendV6Data");
  return {
    ...(publicIP && { publicIP }),
    ...(publicIPv6 && { publicIPv6 }),
    backendType: readType(value),
    ...(backendData !== undefined && { backendData }),
    ...(backendV6Data !== undefined && { backendV6Data }),
  };
}

function readAddress(value: JsonObject, key: string, family: "IPv4" | "IPv6"): Address | undefined {
  const text = memberOf(value, key);
  if (text === undefined || text === noAddress) return undefined;
  const address = typeof text === "string" ? parseAddress(text) : undefined;
  if (!address || isIPv4(address) !== (family === "IPv4"))
    throw new Error(`its ${key} is ${showJson(text)}, not an ${family} address`);
  return address;
}

function readType(value: JsonObject): string {
  const type = memberOf(value, "BackendType") ?? "";
  if (typeof type !== "string") throw new Error(`its BackendType is ${showJson(type)}, not a text like "vxlan"`);
  return type;
}

/** Reports whether both are the same lease of the store. */
export const sameSubnets = (one: Subnets, other: Subnets): boolean => formatSubnets(one) === formatSubnets(other);

/** Reports whether an address of either family is in both, so that two hosts cannot have them. */
export function subnetsOverlap(one: Subnets, other: Subnets): boolean {
  const inFamily = (mine: Prefix | undefined, theirs: Prefix | undefined) => mine && theirs && overlaps(mine, theirs);
  return Boolean(inFamily(one.ipv4, other.ipv4) || inFamily(one.ipv6, other.ipv6));
}

/** Reports whether both are equal as they are stored, so that one replacing the other changes nothing. */
export const sameAttributes = (one: LeaseAttributes, other: LeaseAttributes): boolean =>
  printAttributes(one) === printAttributes(other);

/** Formats subnets for messages: `10.12.13.0/24, fd00:12:13::/56`. */
export const formatSubnets = ({ ipv4, ipv6 }: Subnets): string =>
  [ipv4, ipv6].flatMap((subnet) => (subnet ? [formatPrefix(subnet)] : [])).join(", ");
