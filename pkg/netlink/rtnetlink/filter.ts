// `tc filter`: which packets a queueing discipline treats how.
import { attribute, type MessageOf, message } from "../message.ts";
import { cstring, named, selected, u8, u16, u16be, u32 } from "../wire.ts";
import { families } from "./family.ts";
import { matchall } from "./filter/matchall.ts";
import { u32Filter } from "./filter/u32.ts";
import { statistics } from "./qdisc.ts";

export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;

export const ETH_P_ALL = 3;
export const ETH_P_IP = 0x0800;
export const ETH_P_IPV6 = 0x86dd;

/** RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER. */
export const filterMessage = message({
  source: "linux/rtnetlink.h: struct tcmsg, TCA_*",
  header: {
    family: named(u8, families),
    index: u32,
    handle: u32,
    parent: u32,
    protocol: u16be, // the two halves of tcm_info on a little-endian host: ETH_P_*
    priority: u16,
  },
  attributes: {
    kind: attribute(1, "TCA_KIND", cstring),
    options: attribute(2, "TCA_OPTIONS", selected("kind", { matchall, u32: u32Filter })),
    chain: attribute(11, "TCA_CHAIN", u32),
    ...statistics,
  },
});
export type FilterMessage = MessageOf<typeof filterMessage>;
