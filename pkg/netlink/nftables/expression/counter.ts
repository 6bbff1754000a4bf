// `counter`.
import { attribute, message } from "../../message.ts";
import { u64be } from "../../wire.ts";

/** NFTA_EXPR_DATA of "counter". */
export const counter = message({
  source: "linux/netfilter/nf_tables.h: NFTA_COUNTER_*",
  attributes: {
    bytes: attribute(1, "NFTA_COUNTER_BYTES", u64be),
    packets: attribute(2, "NFTA_COUNTER_PACKETS", u64be),
  },
});
