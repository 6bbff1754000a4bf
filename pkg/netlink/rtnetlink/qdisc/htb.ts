// `tc qdisc add … htb default …`, `tc class add … htb rate … ceil …`: a tree of token buckets.
import { attribute, message } from "../../message.ts";
import { bytes, flag, struct, u32, u64 } from "../../wire.ts";
import { rateSpecification } from "./rate.ts";

/** TCA_OPTIONS of kind "htb": `init` for the discipline, the others for its classes. */
export const htb = message({
  source: "linux/pkt_sched.h: TCA_HTB_*, struct tc_htb_glob, struct tc_htb_opt",
  attributes: {
    init: attribute(
      2,
      "TCA_HTB_INIT",
      struct({ version: u32, rateToQuantum: u32, defaultClass: u32, debug: u32, directPackets: u32 }),
    ),
    parameters: attribute(
      1,
      "TCA_HTB_PARMS",
      struct({
        rate: rateSpecification,
        ceil: rateSpecification,
        bufferTicks: u32,
        ceilBufferTicks: u32,
        quantum: u32,
        level: u32,
        priority: u32,
      }),
    ),
    rate64: attribute(6, "TCA_HTB_RATE64", u64),
    ceil64: attribute(7, "TCA_HTB_CEIL64", u64),
    directQueueLength: attribute(5, "TCA_HTB_DIRECT_QLEN", u32),
    offload: attribute(9, "TCA_HTB_OFFLOAD", flag),
    rateTable: attribute(4, "TCA_HTB_RTAB", bytes),
    ceilTable: attribute(3, "TCA_HTB_CTAB", bytes),
  },
});
