/** Masquerade and forward rules for the pod network, flannel's: with iptables, or in tables of nf_tables of their own. */
import type { Prefix } from "../ip/address.ts";

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
  masquerade: boolean;
  forward: boolean;
  randomFully: boolean;
  /** Containers keep their addresses towards these (`NoMasqueradeCIDRs`). */
  noMasquerade: readonly Prefix[];
}

export interface Traffic {
  /** Makes the rules what they should be: content, order, no duplicates. @returns how many chains had to be changed; 0 nearly always */
  ensure(): number;
  /** Deletes rules of the other kind, and (iptables) those of a network or subnet we had before. */
  clean(previous: readonly FamilyTraffic[]): void;
}
