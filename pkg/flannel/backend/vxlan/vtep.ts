/** The data of a host's VXLAN device in its lease. Pure. */

import type { LeaseAttributes } from "../../../cluster/lease/lease.ts";
import { memberOf } from "../../../config/go-json.ts";
import { isObject, type Json, showJson } from "../../../config/json.ts";
import type { FamilyName } from "../../../ip/family.ts";
import { formatMac, parseMac } from "../../../link/mac.ts";
import { InvalidPeerLease } from "../peer.ts";

/** Makes the backend data of our lease, in flannel's form. */
export const ownData = (vni: number, mac: Uint8Array): Json => ({ VNI: vni, VtepMAC: formatMac(mac) });

/** Returns the MAC of a peer's VXLAN device from its lease. @throws InvalidPeerLease */
export function vtepMac(attributes: LeaseAttributes, family: FamilyName): Uint8Array {
  const mac = publishedMac(attributes, family);
  if (mac !== undefined) return mac;
  const [key, data] = dataOf(attributes, family);
  throw new InvalidPeerLease(
    `its ${key} is ${showJson(data ?? null)}, expected one like {"VtepMAC":"0e:2a:00:00:00:01"}`,
  );
}

/** Returns the MAC of a VXLAN device that its host has published; undefined: none that a device can have. */
export function publishedMac(attributes: LeaseAttributes, family: FamilyName): Uint8Array | undefined {
  const [, data] = dataOf(attributes, family);
  const mac = parseMac(textOf(data));
  return mac !== undefined && isDevice(mac) ? mac : undefined;
}

const dataOf = ({ backendData, backendV6Data }: LeaseAttributes, family: FamilyName) =>
  family === "ipv4" ? (["BackendData", backendData] as const) : (["BackendV6Data", backendV6Data] as const);

function textOf(data: Json | undefined): string {
  const text = isObject(data) ? memberOf(data, "VtepMAC") : undefined;
  return typeof text === "string" ? text : "";
}

const MAC_BYTES = 6;

/**
 * Reports whether a MAC can be a device's: not a group address, and not all zeros, which is the default entry of a VXLAN's
 * forwarding table, so that packets to unknown MACs would go there.
 */
const isDevice = (mac: Uint8Array): boolean =>
  mac.length === MAC_BYTES && ((mac[0] ?? 0) & 1) === 0 && mac.some((byte) => byte !== 0);
