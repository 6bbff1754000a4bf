// `tc filter … action mirred egress redirect dev …`: what a filter does with the packets it takes.
import { attribute, message } from "../../message.ts";
import { bytes, cstring, named, nested, numbered, s32, selected, struct, u32 } from "../../wire.ts";

export const TC_ACT_UNSPEC = -1;
export const TC_ACT_OK = 0;
export const TC_ACT_SHOT = 2;
export const TC_ACT_PIPE = 3;
export const TC_ACT_STOLEN = 4;

export const TCA_EGRESS_REDIR = 1;
export const TCA_EGRESS_MIRROR = 2;
export const TCA_INGRESS_REDIR = 3;
export const TCA_INGRESS_MIRROR = 4;

const outcomes = { TC_ACT_UNSPEC, TC_ACT_OK, TC_ACT_SHOT, TC_ACT_PIPE, TC_ACT_STOLEN };
const directions = { TCA_EGRESS_REDIR, TCA_EGRESS_MIRROR, TCA_INGRESS_REDIR, TCA_INGRESS_MIRROR };

/** Begins the parameters of every action: tc_gen, linux/pkt_cls.h. */
const general = { index: u32, capabilities: u32, action: named(s32, outcomes), references: s32, bindings: s32 };

/** TCA_ACT_OPTIONS of kind "mirred". */
const mirred = message({
  source: "linux/tc_act/tc_mirred.h: TCA_MIRRED_*, struct tc_mirred",
  attributes: {
    parameters: attribute(
      2,
      "TCA_MIRRED_PARMS",
      struct({ ...general, direction: named(s32, directions), outputIndex: u32 }),
    ),
    times: attribute(1, "TCA_MIRRED_TM", bytes),
  },
});

/** TCA_ACT_OPTIONS of kind "gact": drop, pass. */
const gact = message({
  source: "linux/tc_act/tc_gact.h: TCA_GACT_*, struct tc_gact",
  attributes: {
    parameters: attribute(2, "TCA_GACT_PARMS", struct(general)),
    times: attribute(1, "TCA_GACT_TM", bytes),
  },
});

const action = message({
  source: "linux/pkt_cls.h: TCA_ACT_*",
  attributes: {
    kind: attribute(1, "TCA_ACT_KIND", cstring),
    options: attribute(2, "TCA_ACT_OPTIONS", nested(selected("kind", { gact, mirred }))),
    index: attribute(3, "TCA_ACT_INDEX", u32),
    stats: attribute(4, "TCA_ACT_STATS", bytes),
    cookie: attribute(6, "TCA_ACT_COOKIE", bytes),
    hardwareStats: attribute(8, "TCA_ACT_HW_STATS", bytes),
    usedHardwareStats: attribute(9, "TCA_ACT_USED_HW_STATS", bytes),
    inHardwareCount: attribute(10, "TCA_ACT_IN_HW_COUNT", u32),
  },
});

/** In the order in which they are carried out. */
export const actions = numbered("action", action);
