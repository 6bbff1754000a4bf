// `& mask ^ xor`, as prefixes and marks need it, and shifts.
import { attribute, message } from "../../message.ts";
import { named, u32be } from "../../wire.ts";
import { data, register } from "../data.ts";

export const NFT_BITWISE_MASK_XOR = 0;
export const NFT_BITWISE_LSHIFT = 1;
export const NFT_BITWISE_RSHIFT = 2;

const operations = { NFT_BITWISE_MASK_XOR, NFT_BITWISE_LSHIFT, NFT_BITWISE_RSHIFT };

/** NFTA_EXPR_DATA of "bitwise". */
export const bitwise = message({
  source: "linux/netfilter/nf_tables.h: NFTA_BITWISE_*",
  attributes: {
    source: attribute(1, "NFTA_BITWISE_SREG", register),
    destination: attribute(2, "NFTA_BITWISE_DREG", register),
    length: attribute(3, "NFTA_BITWISE_LEN", u32be),
    operation: attribute(6, "NFTA_BITWISE_OP", named(u32be, operations)), // absent: NFT_BITWISE_MASK_XOR, and before Linux 5.6 always
    mask: attribute(4, "NFTA_BITWISE_MASK", data),
    xor: attribute(5, "NFTA_BITWISE_XOR", data),
    data: attribute(7, "NFTA_BITWISE_DATA", data),
  },
});
