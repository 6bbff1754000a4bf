// `10-20`: whether a register lies between two values.
import { attribute, message } from "../../message.ts";
import { named, u32be } from "../../wire.ts";
import { data, register } from "../data.ts";

export const NFT_RANGE_EQ = 0;
export const NFT_RANGE_NEQ = 1;

/** NFTA_EXPR_DATA of "range". */
export const range = message({
  source: "linux/netfilter/nf_tables.h: NFTA_RANGE_*",
  attributes: {
    source: attribute(1, "NFTA_RANGE_SREG", register),
    operator: attribute(2, "NFTA_RANGE_OP", named(u32be, { NFT_RANGE_EQ, NFT_RANGE_NEQ })),
    from: attribute(3, "NFTA_RANGE_FROM_DATA", data),
    to: attribute(4, "NFTA_RANGE_TO_DATA", data),
  },
});
