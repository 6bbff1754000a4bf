// `… @set`, `… vmap @map`: whether a register's value is in a set, and what a map has for it.
import { attribute, message } from "../../message.ts";
import { cstring, u32be } from "../../wire.ts";
import { register } from "../data.ts";

export const NFT_LOOKUP_F_INV = 1;

/** NFTA_EXPR_DATA of "lookup". `setId` is for sets made in the same batch. */
export const lookup = message({
  source: "linux/netfilter/nf_tables.h: NFTA_LOOKUP_*",
  attributes: {
    source: attribute(2, "NFTA_LOOKUP_SREG", register),
    destination: attribute(3, "NFTA_LOOKUP_DREG", register), // of maps; NFT_REG_VERDICT for verdict maps
    set: attribute(1, "NFTA_LOOKUP_SET", cstring),
    setId: attribute(4, "NFTA_LOOKUP_SET_ID", u32be),
    flags: attribute(5, "NFTA_LOOKUP_FLAGS", u32be),
  },
});
