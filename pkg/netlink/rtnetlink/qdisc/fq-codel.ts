// `tc qdisc add … fq_codel …`: fair queueing with controlled delay.
import { attribute, message } from "../../message.ts";
import { u8, u32 } from "../../wire.ts";

/** TCA_OPTIONS of kind "fq_codel". Times are in microseconds. */
export const fqCodel = message({
  source: "linux/pkt_sched.h: TCA_FQ_CODEL_*",
  attributes: {
    target: attribute(1, "TCA_FQ_CODEL_TARGET", u32),
    limit: attribute(2, "TCA_FQ_CODEL_LIMIT", u32),
    interval: attribute(3, "TCA_FQ_CODEL_INTERVAL", u32),
    ecn: attribute(4, "TCA_FQ_CODEL_ECN", u32),
    flows: attribute(5, "TCA_FQ_CODEL_FLOWS", u32),
    quantum: attribute(6, "TCA_FQ_CODEL_QUANTUM", u32),
    ceThreshold: attribute(7, "TCA_FQ_CODEL_CE_THRESHOLD", u32),
    dropBatchSize: attribute(8, "TCA_FQ_CODEL_DROP_BATCH_SIZE", u32),
    memoryLimit: attribute(9, "TCA_FQ_CODEL_MEMORY_LIMIT", u32),
    ceThresholdSelector: attribute(10, "TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR", u8),
    ceThresholdMask: attribute(11, "TCA_FQ_CODEL_CE_THRESHOLD_MASK", u8),
  },
});
