// `meta …`, `iifname`, `oifname`: facts about a packet that are not in it.
import { attribute, message } from "../../message.ts";
import { named, u32be } from "../../wire.ts";
import { register } from "../data.ts";

export const NFT_META_LEN = 0;
export const NFT_META_PROTOCOL = 1;
export const NFT_META_PRIORITY = 2;
export const NFT_META_MARK = 3;
export const NFT_META_IIF = 4;
export const NFT_META_OIF = 5;
export const NFT_META_IIFNAME = 6;
export const NFT_META_OIFNAME = 7;
export const NFT_META_IIFTYPE = 8;
export const NFT_META_OIFTYPE = 9;
export const NFT_META_NFTRACE = 12;
export const NFT_META_NFPROTO = 15;
export const NFT_META_L4PROTO = 16;
export const NFT_META_BRI_IIFNAME = 17;
export const NFT_META_BRI_OIFNAME = 18;
export const NFT_META_PKTTYPE = 19;

const keys = {
  NFT_META_LEN,
  NFT_META_PROTOCOL,
  NFT_META_PRIORITY,
  NFT_META_MARK,
  NFT_META_IIF,
  NFT_META_OIF,
  NFT_META_IIFNAME,
  NFT_META_OIFNAME,
  NFT_META_IIFTYPE,
  NFT_META_OIFTYPE,
  NFT_META_NFTRACE,
  NFT_META_NFPROTO,
  NFT_META_L4PROTO,
  NFT_META_BRI_IIFNAME,
  NFT_META_BRI_OIFNAME,
  NFT_META_PKTTYPE,
};

/** NFTA_EXPR_DATA of "meta": read with `destination`, set with `source`. */
export const meta = message({
  source: "linux/netfilter/nf_tables.h: NFTA_META_*, enum nft_meta_keys",
  attributes: {
    key: attribute(2, "NFTA_META_KEY", named(u32be, keys)),
    destination: attribute(1, "NFTA_META_DREG", register),
    source: attribute(3, "NFTA_META_SREG", register),
  },
});
