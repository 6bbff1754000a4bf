/** A lease: the subnet that one host has, and what the other hosts must know to reach it. As flannel keeps it in etcd. Pure. */
import type { Json } from "../cni/json.ts";
import type { Address, Prefix } from "../ip/address.ts";

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
  /** Milliseconds since 1970; undefined for one that never expires (a reservation). */
  expiresMs?: number;
}
