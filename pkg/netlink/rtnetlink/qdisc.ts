// `tc qdisc`, `tc class`: what a link does with its packets before it sends them. "ingress" and "clsact" have no options: only filters hang on them.
import { attribute, type MessageOf, message } from "../message.ts";
import { bool, bytes, cstring, named, selected, u8, u32 } from "../wire.ts";
import { families } from "./family.ts";
import { fqCodel } from "./qdisc/fq-codel.ts";
import { htb } from "./qdisc/htb.ts";
import { tbf } from "./qdisc/tbf.ts";

export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWTCLASS = 40;
export const RTM_DELTCLASS = 41;
export const RTM_GETTCLASS = 42;

/** Handles are `major << 16 | minor`, as tc writes 1:20. */
export const TC_H_ROOT = 0xffffffff;
export const TC_H_INGRESS = 0xfffffff1;
export const TC_H_CLSACT = 0xfffffff1;
export const TC_H_MIN_INGRESS = 0xfff2;
export const TC_H_MIN_EGRESS = 0xfff3;

export const statistics = {
  stats: attribute(3, "TCA_STATS", bytes),
  xstats: attribute(4, "TCA_XSTATS", bytes),
  stats2: attribute(7, "TCA_STATS2", bytes),
};

/** RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC, RTM_NEWTCLASS, RTM_DELTCLASS, RTM_GETTCLASS. */
export const qdiscMessage = message({
  source: "linux/rtnetlink.h: struct tcmsg, TCA_*",
  header: { family: named(u8, families), index: u32, handle: u32, parent: u32, info: u32 }, // info: how often it is referred to
  attributes: {
    kind: attribute(1, "TCA_KIND", cstring),
    options: attribute(2, "TCA_OPTIONS", selected("kind", { fq_codel: fqCodel, htb, tbf })),
    hardwareOffload: attribute(12, "TCA_HW_OFFLOAD", bool),
    ingressBlock: attribute(13, "TCA_INGRESS_BLOCK", u32),
    egressBlock: attribute(14, "TCA_EGRESS_BLOCK", u32),
    dumpInvisible: attribute(10, "TCA_DUMP_INVISIBLE", bytes),
    ...statistics,
  },
});
export type QdiscMessage = MessageOf<typeof qdiscMessage>;
