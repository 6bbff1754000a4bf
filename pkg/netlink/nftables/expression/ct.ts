// `ct state`, `ct status`, `ct mark`, …: what connection tracking knows.
import { attribute, message } from "../../message.ts";
import { named, u8, u32be } from "../../wire.ts";
import { register } from "../data.ts";

export const NFT_CT_STATE = 0; // bits NF_CT_STATE_*, in the host's order
export const NFT_CT_DIRECTION = 1;
export const NFT_CT_STATUS = 2;
export const NFT_CT_MARK = 3;
export const NFT_CT_L3PROTOCOL = 7;
export const NFT_CT_SRC = 8;
export const NFT_CT_DST = 9;
export const NFT_CT_PROTOCOL = 10;
export const NFT_CT_PROTO_SRC = 11;
export const NFT_CT_PROTO_DST = 12;
export const NFT_CT_ZONE = 17;
export const NFT_CT_SRC_IP = 19;
export const NFT_CT_DST_IP = 20;
export const NFT_CT_SRC_IP6 = 21;
export const NFT_CT_DST_IP6 = 22;

export const NF_CT_STATE_INVALID = 0x01;
export const NF_CT_STATE_ESTABLISHED = 0x02;
export const NF_CT_STATE_RELATED = 0x04;
export const NF_CT_STATE_NEW = 0x08;
export const NF_CT_STATE_UNTRACKED = 0x40;

export const IPS_SRC_NAT = 0x10; // bits of NFT_CT_STATUS
export const IPS_DST_NAT = 0x20;

const keys = {
  NFT_CT_STATE,
  NFT_CT_DIRECTION,
  NFT_CT_STATUS,
  NFT_CT_MARK,
  NFT_CT_L3PROTOCOL,
  NFT_CT_SRC,
  NFT_CT_DST,
  NFT_CT_PROTOCOL,
  NFT_CT_PROTO_SRC,
  NFT_CT_PROTO_DST,
  NFT_CT_ZONE,
  NFT_CT_SRC_IP,
  NFT_CT_DST_IP,
  NFT_CT_SRC_IP6,
  NFT_CT_DST_IP6,
};

/** NFTA_EXPR_DATA of "ct": read with `destination`, set with `source`. */
export const ct = message({
  source: "linux/netfilter/nf_tables.h: NFTA_CT_*, enum nft_ct_keys; nf_conntrack_common.h: IPS_*",
  attributes: {
    key: attribute(2, "NFTA_CT_KEY", named(u32be, keys)),
    destination: attribute(1, "NFTA_CT_DREG", register),
    direction: attribute(3, "NFTA_CT_DIRECTION", u8), // 0 original, 1 reply
    source: attribute(4, "NFTA_CT_SREG", register),
  },
});
