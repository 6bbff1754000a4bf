// `==`, `!=`, `<`, …: compares a register, and ends the rule when it is not so.
import { attribute, message } from "../../message.ts";
import { named, u32be } from "../../wire.ts";
import { data, register } from "../data.ts";

export const NFT_CMP_EQ = 0;
export const NFT_CMP_NEQ = 1;
export const NFT_CMP_LT = 2;
export const NFT_CMP_LTE = 3;
export const NFT_CMP_GT = 4;
export const NFT_CMP_GTE = 5;

const operators = { NFT_CMP_EQ, NFT_CMP_NEQ, NFT_CMP_LT, NFT_CMP_LTE, NFT_CMP_GT, NFT_CMP_GTE };

/** NFTA_EXPR_DATA of "cmp". */
export const cmp = message({
  source: "linux/netfilter/nf_tables.h: NFTA_CMP_*, enum nft_cmp_ops",
  attributes: {
    source: attribute(1, "NFTA_CMP_SREG", register),
    operator: attribute(2, "NFTA_CMP_OP", named(u32be, operators)),
    data: attribute(3, "NFTA_CMP_DATA", data),
  },
});
