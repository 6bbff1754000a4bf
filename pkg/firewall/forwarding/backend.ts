/** Whose rules let addresses through, where the configuration leaves it open. */
export type Backend = "iptables" | "firewalld" | "nftables";
