/** Where host-local keeps the reservations of a network. Pure. */
import { isObject } from "../../config/json.ts";

/** The directory of the networks, where a configuration names no other. */
export const defaultDataDir = "/var/lib/cni/networks";

/** @param ipam What a plugin has as `ipam`. */
export function reservationDirectory(network: string, ipam: unknown): string {
  const dataDir = isObject(ipam) ? ipam["dataDir"] : undefined;
  return `${typeof dataDir === "string" && dataDir !== "" ? dataDir : defaultDataDir}/${network}`;
}
