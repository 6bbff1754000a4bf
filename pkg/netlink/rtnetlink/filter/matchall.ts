// `tc filter add … matchall …`: every packet.
import { attribute, message } from "../../message.ts";
import { bytes, u32 } from "../../wire.ts";
import { actions } from "./action.ts";

/** TCA_OPTIONS of kind "matchall". */
export const matchall = message({
  source: "linux/pkt_cls.h: TCA_MATCHALL_*",
  attributes: {
    classId: attribute(1, "TCA_MATCHALL_CLASSID", u32),
    actions: attribute(2, "TCA_MATCHALL_ACT", actions),
    flags: attribute(3, "TCA_MATCHALL_FLAGS", u32), // TCA_CLS_FLAGS_*
    counts: attribute(4, "TCA_MATCHALL_PCNT", bytes),
  },
});
