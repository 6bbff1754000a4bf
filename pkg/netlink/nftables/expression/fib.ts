// `fib daddr type local`, `fib saddr . iif oif …`: what routing says of an address.
import { attribute, message } from "../../message.ts";
import { named, u32be } from "../../wire.ts";
import { register } from "../data.ts";

export const NFT_FIB_RESULT_OIF = 1;
export const NFT_FIB_RESULT_OIFNAME = 2;
export const NFT_FIB_RESULT_ADDRTYPE = 3; // an RTN_* of route.ts, in the host's order

export const NFTA_FIB_F_SADDR = 0x01;
export const NFTA_FIB_F_DADDR = 0x02;
export const NFTA_FIB_F_MARK = 0x04;
export const NFTA_FIB_F_IIF = 0x08;
export const NFTA_FIB_F_OIF = 0x10;
export const NFTA_FIB_F_PRESENT = 0x20;

const results = { NFT_FIB_RESULT_OIF, NFT_FIB_RESULT_OIFNAME, NFT_FIB_RESULT_ADDRTYPE };

/** NFTA_EXPR_DATA of "fib". */
export const fib = message({
  source: "linux/netfilter/nf_tables.h: NFTA_FIB_*",
  attributes: {
    flags: attribute(3, "NFTA_FIB_FLAGS", u32be),
    result: attribute(2, "NFTA_FIB_RESULT", named(u32be, results)),
    destination: attribute(1, "NFTA_FIB_DREG", register),
  },
});
