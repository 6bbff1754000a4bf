/** Chooses the backend of the masquerade where the configuration does not name one. */

import { type Connection, connect, NETLINK_NETFILTER } from "../netlink/connection.ts";
import { nfproto } from "./family.ts";
import { findIptables, type Iptables } from "./iptables/detect.ts";
import { existing, findRules } from "./nftables/ruleset.ts";

export type Backend = "iptables" | "nftables";

/** The chosen backend and the reason, for messages. */
export interface Choice {
  backend: Backend;
  reason: string;
}

/**
 * Chooses as the reference plugins do: iptables where it is installed, else nftables. They run the programs to find out; here
 * PATH is searched, and then the kernel for CNI rules in the tables of iptables: a host that has them keeps that backend after
 * its iptables was removed.
 */
export function chooseBackend(configured: Backend | undefined, netfilter: () => Connection = open): Choice {
  if (configured !== undefined) return { backend: configured, reason: `"ipMasqBackend" says so` };
  const iptables = findIptables("ip");
  if (iptables !== undefined) return { backend: "iptables", reason: reasonFor(iptables) };
  if (hasChains(netfilter())) return { backend: "iptables", reason: `there are CNI chains in table "nat" already` };
  return { backend: "nftables", reason: "there is no iptables in PATH" };
}

const open = (): Connection => connect(NETLINK_NETFILTER);

const reasonFor = ({ path, file, variant }: Iptables): string =>
  variant === "nf_tables"
    ? `"${path}" is "${file}", which writes to nf_tables, as twill does directly`
    : `"${path}" is "${file}", which writes to the legacy tables, as twill does through "${path}-restore"`;

function hasChains(netfilter: Connection): boolean {
  const postrouting = { family: nfproto.ip, table: "nat", chain: "POSTROUTING" };
  return (
    existing(netfilter, [postrouting])[0] === true &&
    findRules(netfilter, postrouting, (text) => text.includes("CNI-")).length > 0
  );
}
