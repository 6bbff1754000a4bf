// `tc filter add … u32 match …`: packets by any 32 bits of theirs.
import { attribute, message } from "../../message.ts";
import { bytes, cstring, fixedBytes, s16, s32, struct, structWithArray, u8, u16, u16be, u32 } from "../../wire.ts";
import { actions } from "./action.ts";

export const TC_U32_TERMINAL = 1; // a match ends the search

const selector = struct({
  flags: u8,
  offsetShift: u8,
  keyCount: u8,
  offsetMask: u16be,
  offset: u16,
  offsetOffset: s16,
  hashOffset: s16,
  hashMask: fixedBytes(4),
});
const key = struct({ mask: fixedBytes(4), value: fixedBytes(4), offset: s32, offsetMask: s32 });

/** TCA_OPTIONS of kind "u32". A key with mask 0 matches every packet. */
export const u32Filter = message({
  source: "linux/pkt_cls.h: TCA_U32_*, struct tc_u32_sel, struct tc_u32_key",
  attributes: {
    classId: attribute(1, "TCA_U32_CLASSID", u32),
    hash: attribute(2, "TCA_U32_HASH", u32),
    link: attribute(3, "TCA_U32_LINK", u32),
    divisor: attribute(4, "TCA_U32_DIVISOR", u32),
    selector: attribute(5, "TCA_U32_SEL", structWithArray(selector, { key: "keys", element: key, count: "keyCount" })),
    police: attribute(6, "TCA_U32_POLICE", bytes),
    actions: attribute(7, "TCA_U32_ACT", actions),
    inputName: attribute(8, "TCA_U32_INDEV", cstring),
    counts: attribute(9, "TCA_U32_PCNT", bytes),
    mark: attribute(10, "TCA_U32_MARK", struct({ value: u32, mask: u32, successes: u32 })),
    flags: attribute(11, "TCA_U32_FLAGS", u32), // TCA_CLS_FLAGS_*
  },
});
