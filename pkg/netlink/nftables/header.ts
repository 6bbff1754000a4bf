// What all nf_tables messages have in common. Numbers in their attributes are big-endian; strings carry their NUL.
// Source: linux/netfilter/nfnetlink.h: struct nfgenmsg, NFNL_*; linux/netfilter.h: NFPROTO_*.
import { named, u8, u16be } from "../wire.ts";

export const NFPROTO_UNSPEC = 0;
export const NFPROTO_INET = 1; // both IP versions
export const NFPROTO_IPV4 = 2;
export const NFPROTO_ARP = 3;
export const NFPROTO_NETDEV = 5;
export const NFPROTO_BRIDGE = 7;
export const NFPROTO_IPV6 = 10;

export const NFNL_SUBSYS_NFTABLES = 10;
export const NFNL_SUBSYS_NFT_COMPAT = 11;

export const protocolFamilies = {
  NFPROTO_UNSPEC,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_ARP,
  NFPROTO_NETDEV,
  NFPROTO_BRIDGE,
  NFPROTO_IPV6,
};

/** The families of tables as nft writes them. */
export const nftFamilies: Readonly<Record<number, string>> = {
  [NFPROTO_INET]: "inet",
  [NFPROTO_IPV4]: "ip",
  [NFPROTO_BRIDGE]: "bridge",
  [NFPROTO_IPV6]: "ip6",
};

/** struct nfgenmsg. `resource` is the subsystem in the messages around a batch, the generation's low half in answers, else 0. */
export const nfgenmsg = { family: named(u8, protocolFamilies), version: u8, resource: u16be };
