/** The network configuration of a flannel cluster, checked and completed. Pure. */
import type { JsonObject } from "../cni/json.ts";
import type { Address, Prefix } from "../ip/address.ts";

/** The network of a family, and how hosts get their parts of it. */
export interface FamilyConfig {
  network: Prefix;
  subnetLength: number;
  /** First and last subnet that is given out, by base address. */
  subnetMin: Address;
  subnetMax: Address;
}

export interface NetworkConfig {
  ipv4?: FamilyConfig;
  ipv6?: FamilyConfig;
  /** Which traffic manager. */
  nftables: boolean;
  backend: {
    /** Lower case. */
    type: string;
    /** The whole `Backend` object, with the spelling of keys as the schema has it. */
    settings: JsonObject;
  };
  /** Destinations that containers reach under their own addresses (`NoMasqueradeCIDRs`). */
  noMasquerade: readonly Prefix[];
}
