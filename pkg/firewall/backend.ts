// The backends that rules on the host are written with, and how a host's is chosen where the configuration does not name one.
//
//   masquerade, portmap   iptables, nftables              backends in masquerade/masquerade.ts and portmap/portmap.ts
//   firewall plugin       firewalld, iptables, nftables   backends in forwarding/forwarding.ts
//   flanneld's rules      iptables, nftables              by "EnableNFTables": backends in pkg/flannel/rules/rules.ts
//   MAC spoof check       nf_tables                       no choice: frames on a bridge are not iptables' business
//   links                 nf_tables                       the same: links/link-table.ts
//
// Each feature has a record with its functions by backend. DEL and GC call those of all backends, since the configuration and the host may
// have changed since the ADD. Whether "iptables" means nf_tables or the legacy tables is decided in iptables/host.ts.
import type { Connection } from "../netlink/connection.ts";
import { nfproto } from "./family.ts";
import { lookForFirewalld } from "./firewalld.ts";
import { findIptables } from "./iptables/detect.ts";
import { existing, findRules } from "./nftables/ruleset.ts";

export type Backend = "firewalld" | "iptables" | "nftables";
/** The backends that write rules themselves. */
export type RuleBackend = Exclude<Backend, "firewalld">;

/** A feature that has rules by several backends. */
export interface Feature<B extends Backend> {
  /** Its functions by backend. */
  backends: Readonly<Record<B, unknown>>;
  /** Reports whether the tables of iptables have rules of the feature: a host that has them keeps that backend after its iptables is removed. */
  hasIptablesRules(netfilter: Connection): boolean;
}

/** The backends in the order of preference, each with whether this host uses it. */
const USED: readonly (readonly [Backend, (netfilter: () => Connection, feature: Feature<never>) => boolean])[] = [
  ["firewalld", firewalldRuns],
  ["iptables", (netfilter, { hasIptablesRules }) => findIptables("ip") !== undefined || hasIptablesRules(netfilter())],
  ["nftables", () => true],
];

/**
 * Returns the configured backend, else the first one that the host uses, as the reference plugins do. They run the programs to find out; here
 * PATH is searched, and then the kernel for rules.
 */
export function chooseBackend<B extends Backend>(
  feature: Feature<B>,
  configured: B | undefined,
  netfilter: () => Connection,
): B {
  const isOfFeature = (backend: Backend): backend is B => backend in feature.backends;
  const found = () => USED.find(([backend, isUsed]) => isOfFeature(backend) && isUsed(netfilter, feature));
  return configured ?? (found()?.[0] as B); // every feature has nftables, which every host can use
}

function firewalldRuns(): boolean {
  const bus = lookForFirewalld();
  bus?.close();
  return bus !== undefined;
}

/** Reports whether packets go to chains of CNI plugins in iptables' table nat, as with masquerade and with portmap. */
export function hasNatRules(netfilter: Connection): boolean {
  const postrouting = { family: nfproto.ip, table: "nat", chain: "POSTROUTING" };
  return existing(netfilter, [postrouting])[0] === true && findRules(netfilter, postrouting, "CNI-").length > 0;
}
