/** A lease: the subnet that one host has, and what the other hosts must know to reach it. As flannel keeps it in etcd. Pure. */
import { foldKey, isObject, type Json, type JsonObject, parseJson, printJson, showJson } from "../../config/json.ts";
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

/** What a host has for its containers; host bits are zero. A lease of etcd always has `ipv4`. */
export interface Subnets {
  ipv4?: Prefix;
  ipv6?: Prefix;
}

/** What the host says of itself. */
export interface LeaseAttributes {
  /** Where the other hosts reach it; undefined is written as `0.0.0.0`. */
  publicIP?: Address;
  publicIPv6?: Address;
  /** "vxlan", "host-gw" …; "" for backends that leave it out (alloc, udp). */
  backendType: string;
  /** For the other hosts' backends of that type, per family: `{"VNI":1,"VtepMAC":"aa:bb:cc:dd:ee:ff"}`. */
  backendData?: Json;
  backendV6Data?: Json;
}

export interface Lease extends Subnets {
  attributes: LeaseAttributes;
  /**
   * Milliseconds since 1970; undefined for one that never expires (a reservation). Of a lease that another host made a store may
   * know no more than that it has not ended: then the time of reading.
   */
  expiresMs?: number;
}

/**
 * The lease's name in the store: `10.12.13.0-24`, `10.12.13.0-24&fd00:12:13::-56`. Each lease has one, and each name one lease.
 *
 * @throws Error for IPv6 alone, which has no name.
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
 * @returns undefined for every other text, also where flannel guesses: something before the address, host bits, another
 *   spelling of the same address. Nor are all addresses (`0.0.0.0-0`) a lease: flannel writes that for hosts without IPv4.
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

/** A length of all bits is a host's address, not a subnet. */
function subnetOf(base: string, length: number): Prefix | undefined {
  const address = parseAddress(base);
  return address && length > 0 && length < address.length * 8 ? networkOf({ address, length }) : undefined;
}

/** What to say of a key that `parseKey` does not know. */
const notAKey = "its name is no subnet: expected one like 10.12.13.0-24 or 10.12.13.0-24&fd00:12:13::-56";

/** @throws Error what is wrong with the key or its value: such a lease is skipped. */
export function readLease(key: string, value: string, expiresMs: number | undefined): Lease {
  const subnets = parseKey(key);
  if (!subnets) throw new Error(notAKey);
  const lease = { ...subnets, attributes: readAttributes(value) };
  return expiresMs === undefined ? lease : { ...lease, expiresMs };
}

/** As Go's encoding/json prints it; keys in flannel's order. */
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

/** Characters: ten times what any backend says of itself. Nesting that no stack is deep enough to print does not fit in. */
const LONGEST_VALUE = 4096;

/**
 * Reverses `printAttributes`. As in Go, the case of keys does not count and unknown ones are skipped.
 *
 * @throws Error what is wrong with it
 */
export function readAttributes(text: string): LeaseAttributes {
  if (text.length > LONGEST_VALUE) throw new Error(`its value has ${text.length} characters, a lease some hundred`);
  const value = parseJson(text);
  if (!isObject(value)) throw new Error(`its value is ${showJson(value)}, not an object like {"PublicIP":"192.0.2.1"}`);
  const publicIP = readAddress(value, "PublicIP", "IPv4");
  const publicIPv6 = readAddress(value, "PublicIPv6", "IPv6");
  const backendData = member(value, "BackendData");
  const backendV6Data = member(value, "BackendV6Data");
  return {
    ...(publicIP && { publicIP }),
    ...(publicIPv6 && { publicIPv6 }),
    backendType: readType(value),
    ...(backendData !== undefined && { backendData }),
    ...(backendV6Data !== undefined && { backendV6Data }),
  };
}

/** null stands for "not there". */
function member(value: JsonObject, key: string): Json | undefined {
  const name = Object.keys(value).findLast((name) => foldKey(name) === foldKey(key));
  return name === undefined ? undefined : (value[name] ?? undefined);
}

function readAddress(value: JsonObject, key: string, family: "IPv4" | "IPv6"): Address | undefined {
  const text = member(value, key);
  if (text === undefined || text === noAddress) return undefined;
  const address = typeof text === "string" ? parseAddress(text) : undefined;
  if (!address || isIPv4(address) !== (family === "IPv4"))
    throw new Error(`its ${key} is ${showJson(text)}, not an ${family} address`);
  return address;
}

function readType(value: JsonObject): string {
  const type = member(value, "BackendType") ?? "";
  if (typeof type !== "string") throw new Error(`its BackendType is ${showJson(type)}, not a text like "vxlan"`);
  return type;
}

/** Whether both are one lease of the store. */
export const sameSubnets = (one: Subnets, other: Subnets): boolean => formatSubnets(one) === formatSubnets(other);

/** Whether some address would be in both, of either family: two hosts cannot have them. */
export function subnetsOverlap(one: Subnets, other: Subnets): boolean {
  const inFamily = (mine: Prefix | undefined, theirs: Prefix | undefined) => mine && theirs && overlaps(mine, theirs);
  return Boolean(inFamily(one.ipv4, other.ipv4) || inFamily(one.ipv6, other.ipv6));
}

/** Whether nothing changes for anybody who has the one when the other comes. */
export const sameAttributes = (one: LeaseAttributes, other: LeaseAttributes): boolean =>
  printAttributes(one) === printAttributes(other);

/** For messages: `10.12.13.0/24, fd00:12:13::/56`. */
export const formatSubnets = ({ ipv4, ipv6 }: Subnets): string =>
  [ipv4, ipv6].flatMap((subnet) => (subnet ? [formatPrefix(subnet)] : [])).join(", ");
