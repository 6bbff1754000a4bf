/** Chooses the backend of the firewall plugin where the configuration does not name one. */

import type { Connection } from "../../netlink/connection.ts";
import { nfproto } from "../family.ts";
import { lookForFirewalld } from "../firewalld.ts";
import { findIptables } from "../iptables/detect.ts";
import { existing } from "../nftables/ruleset.ts";
import { CNI_FORWARD } from "./iptables-rules.ts";

export type Backend = "iptables" | "firewalld" | "nftables";

/** The chosen backend and the reason, for messages. */
export interface Choice {
  backend: Backend;
  reason: string;
}

/**
 * Chooses firewalld where it runs, else iptables, as the reference plugin does; nftables where there is neither iptables nor a rule of it.
 */
export function chooseBackend(configured: Backend | undefined, netfilter: () => Connection): Choice {
  if (configured !== undefined) return { backend: configured, reason: `"backend" says so` };
  if (isRunning()) return { backend: "firewalld", reason: "firewalld is running" };
  const iptables = findIptables("ip");
  if (iptables !== undefined) return { backend: "iptables", reason: `"${iptables.path}" is "${iptables.file}"` };
  const [hasChain] = existing(netfilter(), [{ family: nfproto.ip, table: "filter", chain: CNI_FORWARD }]);
  if (hasChain) return { backend: "iptables", reason: `there is a chain ${CNI_FORWARD} in table "filter" already` };
  return { backend: "nftables", reason: "neither does firewalld run nor is there iptables in PATH" };
}

function isRunning(): boolean {
  const bus = lookForFirewalld();
  bus?.close();
  return bus !== undefined;
}
