// `tc qdisc add … tbf rate … burst … latency …`: a token bucket.
import { attribute, message } from "../../message.ts";
import { bytes, struct, u32, u64 } from "../../wire.ts";
import { rateSpecification } from "./rate.ts";

/** TCA_OPTIONS of kind "tbf". */
export const tbf = message({
  source: "linux/pkt_sched.h: TCA_TBF_*, struct tc_tbf_qopt",
  attributes: {
    parameters: attribute(
      1,
      "TCA_TBF_PARMS",
      struct({
        rate: rateSpecification,
        peakRate: rateSpecification,
        limitBytes: u32,
        bufferTicks: u32, // the burst as the time it takes at that rate, in ticks of 64 ns
        mtu: u32,
      }),
    ),
    burst: attribute(6, "TCA_TBF_BURST", u32), // in bytes; wins over bufferTicks
    peakBurst: attribute(7, "TCA_TBF_PBURST", u32),
    rate64: attribute(4, "TCA_TBF_RATE64", u64),
    peakRate64: attribute(5, "TCA_TBF_PRATE64", u64),
    rateTable: attribute(2, "TCA_TBF_RTAB", bytes),
    peakRateTable: attribute(3, "TCA_TBF_PTAB", bytes),
  },
});
