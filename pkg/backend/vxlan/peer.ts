/** What a peer's lease says of its VXLAN devices. Pure. */
import { foldKey, isObject, type Json, showJson } from "../../cni/json.ts";
import type { Address, Prefix } from "../../ip/address.ts";
import { formatMac, parseMac } from "../../link/mac.ts";
import type { Lease } from "../../subnet/lease.ts";

/** The peer in one family. */
export interface Peer {
  subnet: Prefix;
  publicIP: Address;
  /** Of its device, which answers for the subnet's first address. */
  mac: Uint8Array;
}

/** As flannel has it in a lease. */
export const ownData = (vni: number, mac: Uint8Array): Json => ({ VNI: vni, VtepMAC: formatMac(mac) });

/**
 * @returns undefined: it has no part of this family
 * @throws Error why it cannot be reached: what its lease has, and what is expected
 */
export function peerOf(lease: Lease, family: "ipv4" | "ipv6"): Peer | undefined {
  const { backendType, backendData, backendV6Data, publicIP, publicIPv6 } = lease.attributes;
  const subnet = lease[family];
  if (subnet === undefined) return undefined;
  if (backendType !== "vxlan") throw new Error(`its backend is ${JSON.stringify(backendType)}, ours is "vxlan"`);
  const isIPv4 = family === "ipv4";
  const address = isIPv4 ? publicIP : publicIPv6;
  if (address === undefined) throw new Error(`it has no ${isIPv4 ? "PublicIP" : "PublicIPv6"}`);
  const key = isIPv4 ? "BackendData" : "BackendV6Data";
  return { subnet, publicIP: address, mac: readMac(key, isIPv4 ? backendData : backendV6Data) };
}

const MAC_BYTES = 6;

function readMac(key: string, data: Json | undefined): Uint8Array {
  const name = isObject(data) ? Object.keys(data).find((name) => foldKey(name) === "vtepmac") : undefined;
  const text = isObject(data) && name !== undefined ? data[name] : undefined;
  const mac = typeof text === "string" ? parseMac(text) : undefined;
  if (mac?.length === MAC_BYTES) return mac;
  throw new Error(`its ${key} is ${showJson(data ?? null)}, expected one like {"VtepMAC":"0e:2a:00:00:00:01"}`);
}
