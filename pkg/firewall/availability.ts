/** Tells STATUS whether firewall rules can be written on this host. */
import { CniError, ErrorCode } from "../cni/error.ts";
import { type Connection, connect, NETLINK_NETFILTER, NetlinkError } from "../netlink/connection.ts";
import { SystemError } from "../sys/errno.ts";
import { lazy } from "../sys/lazy.ts";
import type { Backend } from "./backend.ts";
import { usesLegacy } from "./iptables/host.ts";
import { generation } from "./nftables/transaction.ts";

export interface Need {
  /** Returns the backend that ADD would choose: all but "nftables" write the tables of iptables. */
  backend: (netfilter: () => Connection) => Backend;
  /** What the rules are for, as "masquerading". */
  purpose: string;
}

/** Returns an error with code 50, or undefined when the kernel has nf_tables or they are not needed. */
export function findObstacle({ backend, purpose }: Need): CniError | undefined {
  const netfilter = lazy(() => connect(NETLINK_NETFILTER));
  try {
    if (backend(netfilter) === "nftables" || !usesLegacy("ip")) generation(netfilter());
    return undefined;
  } catch (error) {
    if (!(error instanceof NetlinkError || error instanceof SystemError)) throw error;
    return new CniError({
      code: ErrorCode.notAvailable,
      msg: `${purpose} is not possible: the kernel's nf_tables does not answer`,
      details: error.message,
      remedy: "load the modules (modprobe -a nf_tables nft_chain_nat), or use a kernel with CONFIG_NF_TABLES",
      cause: error,
    });
  }
}

/** Makes sure that the rules can be written. @throws CniError 50: they cannot */
export function needTables(need: Need): void {
  const obstacle = findObstacle(need);
  if (obstacle !== undefined) throw obstacle;
}
