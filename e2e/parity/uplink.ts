// What the rows of macvlan, ipvlan and vlan have in common: a master whose other end is nobody's, and host-local for the addresses.
import type { Json } from "./row.ts";

export const v4 = { subnet: "10.1.0.0/24" };
export const dual = { ranges: [[v4], [{ subnet: "fd00:1::/64" }]] };

/** On the host: `uplink`. */
export const uplink = `
  ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up
`;

/** For networks that name no master. */
export const defaultRoute = "ip address add 192.0.2.1/24 dev uplink; ip route add default via 192.0.2.9";

/** @param ipam What host-local gets; null for another or none. */
export function networkOn(plugin: string, keys: Json, ipam: Json | null = v4): Json {
  const base = { cniVersion: "1.0.0", name: "net", type: plugin, master: "uplink" };
  return { ...base, ...keys, ...(ipam && { ipam: { type: "host-local", ...ipam } }) };
}

/** What a failed ADD of Go leaves. */
export const gosEth0 = /: c0 .*\beth0\b/;
