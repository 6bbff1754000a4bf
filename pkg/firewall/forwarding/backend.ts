/** Whose rules let addresses through, where the configuration leaves it open. */
import type { Connection } from "../../netlink/connection.ts";
import { lookForFirewalld } from "../firewalld.ts";
import { findIptables } from "../iptables/detect.ts";
import { nfproto } from "../iptables/encode.ts";
import { existing } from "../nftables/ruleset.ts";
import { CNI_FORWARD } from "./iptables-rules.ts";

export type Backend = "iptables" | "firewalld" | "nftables";

/** A choice and why it is so, for people. */
export interface Choice {
  backend: Backend;
  reason: string;
}

/** As the reference plugin chooses, firewalld where it runs, else iptables; where there is none, and no rules of it, nftables. */
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
