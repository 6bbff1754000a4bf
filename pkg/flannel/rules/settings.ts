/** What decides which rules there are. */
import type { Prefix } from "../../ip/address.ts";

/** What a family's rules speak of. */
export interface FamilyTraffic {
  /** Of the whole cluster. */
  network: Prefix;
  /** This host's part. */
  subnet: Prefix;
}
export interface TrafficConf {
  kind: "iptables" | "nftables";
  /** IPv4, IPv6 or both. */
  families: readonly FamilyTraffic[];
  /** Whose rules this daemon made in earlier runs, and now deletes. */
  earlierNetworks: readonly Prefix[];
  masquerade: boolean;
  forward: boolean;
  /** As long as kernel and iptables know it: old ones masquerade without. */
  randomFully: boolean;
  /** Containers keep their addresses towards these (`NoMasqueradeCIDRs`), of either family. */
  noMasquerade: readonly Prefix[];
}
