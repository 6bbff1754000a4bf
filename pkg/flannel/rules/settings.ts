/** The settings that determine the rules. */
import type { RuleBackend } from "../../firewall/backend.ts";
import type { Prefix } from "../../ip/address.ts";

/** The prefixes that one family's rules match. */
export interface FamilyTraffic {
  /** The network of the whole cluster. */
  network: Prefix;
  /** This host's subnet of it. */
  subnet: Prefix;
}
export interface TrafficConf {
  kind: RuleBackend;
  /** IPv4, IPv6 or both. */
  families: readonly FamilyTraffic[];
  /** Networks of this daemon's earlier runs, whose rules it deletes. */
  earlierNetworks: readonly Prefix[];
  masquerade: boolean;
  forward: boolean;
  /** Used if kernel and iptables support it; old ones masquerade without it. */
  randomFully: boolean;
  /** Destinations without masquerade (`NoMasqueradeCIDRs`), of either family. */
  noMasquerade: readonly Prefix[];
}
