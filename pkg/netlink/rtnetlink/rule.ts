// `ip rule`: which routing table a packet is looked up in.
import { attribute, type MessageOf, message } from "../message.ts";
import { cstring, ip, named, reserved, struct, u8, u16, u32, u64be } from "../wire.ts";
import { families } from "./family.ts";

export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;

export const FR_ACT_TO_TBL = 1;
export const FR_ACT_GOTO = 2;
export const FR_ACT_NOP = 3;
export const FR_ACT_BLACKHOLE = 6;
export const FR_ACT_UNREACHABLE = 7;
export const FR_ACT_PROHIBIT = 8;

export const FIB_RULE_PERMANENT = 0x1;
export const FIB_RULE_INVERT = 0x2;
export const FIB_RULE_UNRESOLVED = 0x4;
export const FIB_RULE_IIF_DETACHED = 0x8;
export const FIB_RULE_OIF_DETACHED = 0x10;

const actions = { FR_ACT_TO_TBL, FR_ACT_GOTO, FR_ACT_NOP, FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE, FR_ACT_PROHIBIT };
const portRange = struct({ start: u16, end: u16 });

/** RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE. */
export const ruleMessage = message({
  source: "linux/fib_rules.h: struct fib_rule_hdr, FRA_*",
  header: {
    family: named(u8, families),
    destinationLength: u8,
    sourceLength: u8,
    tos: u8,
    table: u8, // or FRA_TABLE, when it is more than 255
    reserved: reserved(2),
    action: named(u8, actions),
    flags: u32,
  },
  attributes: {
    destination: attribute(1, "FRA_DST", ip),
    source: attribute(2, "FRA_SRC", ip),
    inputName: attribute(3, "FRA_IIFNAME", cstring),
    outputName: attribute(17, "FRA_OIFNAME", cstring),
    goTo: attribute(4, "FRA_GOTO", u32), // a priority
    priority: attribute(6, "FRA_PRIORITY", u32),
    mark: attribute(10, "FRA_FWMARK", u32),
    markMask: attribute(16, "FRA_FWMASK", u32),
    flow: attribute(11, "FRA_FLOW", u32),
    tunnelId: attribute(12, "FRA_TUN_ID", u64be),
    suppressGroup: attribute(13, "FRA_SUPPRESS_IFGROUP", u32),
    suppressPrefixLength: attribute(14, "FRA_SUPPRESS_PREFIXLEN", u32), // 0xffffffff: none
    longTable: attribute(15, "FRA_TABLE", u32),
    l3mdev: attribute(19, "FRA_L3MDEV", u8),
    uids: attribute(20, "FRA_UID_RANGE", struct({ start: u32, end: u32 })),
    protocol: attribute(21, "FRA_PROTOCOL", u8), // RTPROT_*: who made it
    ipProtocol: attribute(22, "FRA_IP_PROTO", u8),
    sourcePorts: attribute(23, "FRA_SPORT_RANGE", portRange),
    destinationPorts: attribute(24, "FRA_DPORT_RANGE", portRange),
  },
});
export type RuleMessage = MessageOf<typeof ruleMessage>;
