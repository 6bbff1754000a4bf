// `nft add chain …`: with a hook it is a base chain, which packets enter by themselves.
import { attribute, type MessageOf, message } from "../message.ts";
import { cstring, list, named, nested, s32be, u32be, u64be } from "../wire.ts";
import { counter } from "./expression/counter.ts";
import { nfgenmsg } from "./header.ts";
import { chainUserdata } from "./userdata.ts";

export const NFT_MSG_NEWCHAIN = 0x0a03;
export const NFT_MSG_GETCHAIN = 0x0a04;
export const NFT_MSG_DELCHAIN = 0x0a05;
export const NFT_MSG_DESTROYCHAIN = 0x0a1b; // Linux 6.3: content when it is gone

export const NF_INET_PRE_ROUTING = 0;
export const NF_INET_LOCAL_IN = 1;
export const NF_INET_FORWARD = 2;
export const NF_INET_LOCAL_OUT = 3;
export const NF_INET_POST_ROUTING = 4;
export const NF_INET_INGRESS = 5;
export const NF_NETDEV_INGRESS = 0;

/** Priorities by which nft knows the chains of xtables: linux/netfilter_ipv4.h, netfilter_bridge.h. */
export const NF_IP_PRI_RAW = -300;
export const NF_IP_PRI_MANGLE = -150;
export const NF_IP_PRI_NAT_DST = -100;
export const NF_IP_PRI_FILTER = 0;
export const NF_IP_PRI_SECURITY = 50;
export const NF_IP_PRI_NAT_SRC = 100;
export const NF_BR_PRI_FILTER_BRIDGED = -200;

export const NFT_CHAIN_BASE = 1;

const hook = message({
  source: "linux/netfilter/nf_tables.h: NFTA_HOOK_*",
  attributes: {
    number: attribute(1, "NFTA_HOOK_HOOKNUM", u32be),
    priority: attribute(2, "NFTA_HOOK_PRIORITY", s32be),
    device: attribute(3, "NFTA_HOOK_DEV", cstring),
    devices: attribute(4, "NFTA_HOOK_DEVS", nested(list(1, "NFTA_DEVICE_NAME", cstring))),
  },
});

/** NFT_MSG_NEWCHAIN, NFT_MSG_GETCHAIN, NFT_MSG_DELCHAIN. */
export const chainMessage = message({
  source: "linux/netfilter/nf_tables.h: NFTA_CHAIN_*",
  header: nfgenmsg,
  attributes: {
    table: attribute(1, "NFTA_CHAIN_TABLE", cstring),
    name: attribute(3, "NFTA_CHAIN_NAME", cstring),
    hook: attribute(4, "NFTA_CHAIN_HOOK", nested(hook)),
    policy: attribute(5, "NFTA_CHAIN_POLICY", named(u32be, { NF_DROP: 0, NF_ACCEPT: 1 })), // sent again, it replaces the administrator's
    type: attribute(7, "NFTA_CHAIN_TYPE", cstring), // "filter", "nat", "route"
    flags: attribute(10, "NFTA_CHAIN_FLAGS", u32be),
    handle: attribute(2, "NFTA_CHAIN_HANDLE", u64be),
    uses: attribute(6, "NFTA_CHAIN_USE", u32be), // rules in it and jumps to it
    counters: attribute(8, "NFTA_CHAIN_COUNTERS", nested(counter)),
    id: attribute(11, "NFTA_CHAIN_ID", u32be),
    userdata: attribute(12, "NFTA_CHAIN_USERDATA", chainUserdata),
  },
});
export type ChainMessage = MessageOf<typeof chainMessage>;
