// Every change of nf_tables stands in a batch: begin, changes, end, in one datagram. All of it takes place or nothing.
import { attribute, message } from "../message.ts";
import { u32be } from "../wire.ts";
import { nfgenmsg } from "./header.ts";

export const NFNL_MSG_BATCH_BEGIN = 0x10;
export const NFNL_MSG_BATCH_END = 0x11;

/** NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END, with `resource: NFNL_SUBSYS_NFTABLES`. */
export const batchMessage = message({
  source: "linux/netfilter/nfnetlink.h: NFNL_BATCH_*",
  header: nfgenmsg,
  attributes: {
    generation: attribute(1, "NFNL_BATCH_GENID", u32be), // refused with ERESTART unless it is the present one; only at the beginning
  },
});
