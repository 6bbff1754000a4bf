// `accept`, `drop`, `jump …`: puts a verdict, or a value, into a register.
import { attribute, message } from "../../message.ts";
import { data, register } from "../data.ts";

/** NFTA_EXPR_DATA of "immediate". */
export const immediate = message({
  source: "linux/netfilter/nf_tables.h: NFTA_IMMEDIATE_*",
  attributes: {
    destination: attribute(1, "NFTA_IMMEDIATE_DREG", register),
    data: attribute(2, "NFTA_IMMEDIATE_DATA", data),
  },
});
