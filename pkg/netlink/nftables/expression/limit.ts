// `limit rate …`.
import { attribute, message } from "../../message.ts";
import { named, u32be, u64be } from "../../wire.ts";

export const NFT_LIMIT_PKTS = 0;
export const NFT_LIMIT_PKT_BYTES = 1;
export const NFT_LIMIT_F_INV = 1;

/** NFTA_EXPR_DATA of "limit". */
export const limit = message({
  source: "linux/netfilter/nf_tables.h: NFTA_LIMIT_*",
  attributes: {
    rate: attribute(1, "NFTA_LIMIT_RATE", u64be),
    unitSeconds: attribute(2, "NFTA_LIMIT_UNIT", u64be),
    burst: attribute(3, "NFTA_LIMIT_BURST", u32be),
    type: attribute(4, "NFTA_LIMIT_TYPE", named(u32be, { NFT_LIMIT_PKTS, NFT_LIMIT_PKT_BYTES })),
    flags: attribute(5, "NFTA_LIMIT_FLAGS", u32be),
  },
});
