// `ip route`: routes, their metrics and their nexthops.
import { attribute, type MessageOf, message } from "../message.ts";
import { bytes, ip, named, s32, struct, text, u8, u16, u16be, u32 } from "../wire.ts";
import { families } from "./family.ts";
import { nexthops } from "./nexthop.ts";

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

export const RTN_UNSPEC = 0;
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BROADCAST = 3;
export const RTN_ANYCAST = 4;
export const RTN_MULTICAST = 5;
export const RTN_BLACKHOLE = 6;
export const RTN_UNREACHABLE = 7;
export const RTN_PROHIBIT = 8;
export const RTN_THROW = 9;

export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_SITE = 200;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_SCOPE_NOWHERE = 255;

export const RT_TABLE_UNSPEC = 0;
export const RT_TABLE_COMPAT = 252; // the number does not fit in the header: see RTA_TABLE
export const RT_TABLE_DEFAULT = 253;
export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

export const RTPROT_UNSPEC = 0;
export const RTPROT_REDIRECT = 1;
export const RTPROT_KERNEL = 2;
export const RTPROT_BOOT = 3;
export const RTPROT_STATIC = 4;
export const RTPROT_RA = 9;

export const RTM_F_CLONED = 0x200; // of the cache: asked for with RTM_GETROUTE, not configured
export const RTM_F_LOOKUP_TABLE = 0x1000;
export const RTM_F_FIB_MATCH = 0x2000;

const types = {
  RTN_UNSPEC,
  RTN_UNICAST,
  RTN_LOCAL,
  RTN_BROADCAST,
  RTN_ANYCAST,
  RTN_MULTICAST,
  RTN_BLACKHOLE,
  RTN_UNREACHABLE,
  RTN_PROHIBIT,
  RTN_THROW,
};
const scopes = { RT_SCOPE_UNIVERSE, RT_SCOPE_SITE, RT_SCOPE_LINK, RT_SCOPE_HOST, RT_SCOPE_NOWHERE };
const tables = { RT_TABLE_UNSPEC, RT_TABLE_COMPAT, RT_TABLE_DEFAULT, RT_TABLE_MAIN, RT_TABLE_LOCAL };
const protocols = { RTPROT_UNSPEC, RTPROT_REDIRECT, RTPROT_KERNEL, RTPROT_BOOT, RTPROT_STATIC, RTPROT_RA };

/** The metrics of a route (`ip route add … mtu 1400 advmss 1360`). */
const routeMetrics = message({
  source: "linux/rtnetlink.h: RTAX_*",
  attributes: {
    lock: attribute(1, "RTAX_LOCK", u32), // a bit for each metric that path discovery may not change
    mtu: attribute(2, "RTAX_MTU", u32),
    window: attribute(3, "RTAX_WINDOW", u32),
    rtt: attribute(4, "RTAX_RTT", u32),
    rttVariance: attribute(5, "RTAX_RTTVAR", u32),
    slowStartThreshold: attribute(6, "RTAX_SSTHRESH", u32),
    congestionWindow: attribute(7, "RTAX_CWND", u32),
    advertisedMss: attribute(8, "RTAX_ADVMSS", u32),
    reordering: attribute(9, "RTAX_REORDERING", u32),
    hopLimit: attribute(10, "RTAX_HOPLIMIT", u32),
    initialCongestionWindow: attribute(11, "RTAX_INITCWND", u32),
    features: attribute(12, "RTAX_FEATURES", u32),
    minimalRtoMs: attribute(13, "RTAX_RTO_MIN", u32),
    initialReceiveWindow: attribute(14, "RTAX_INITRWND", u32),
    quickAck: attribute(15, "RTAX_QUICKACK", u32),
    congestionAlgorithm: attribute(16, "RTAX_CC_ALGO", text),
    fastOpenNoCookie: attribute(17, "RTAX_FASTOPEN_NO_COOKIE", u32),
  },
});

/** RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE. */
export const routeMessage = message({
  source: "linux/rtnetlink.h: struct rtmsg, RTA_*",
  header: {
    family: named(u8, families),
    destinationLength: u8,
    sourceLength: u8,
    tos: u8,
    table: named(u8, tables), // or RTA_TABLE, when it is more than 255
    protocol: named(u8, protocols),
    scope: named(u8, scopes),
    type: named(u8, types),
    flags: u32,
  },
  attributes: {
    destination: attribute(1, "RTA_DST", ip),
    gateway: attribute(5, "RTA_GATEWAY", ip),
    outputIndex: attribute(4, "RTA_OIF", u32),
    longTable: attribute(15, "RTA_TABLE", u32),
    priority: attribute(6, "RTA_PRIORITY", u32),
    preferredSource: attribute(7, "RTA_PREFSRC", ip),
    metrics: attribute(8, "RTA_METRICS", routeMetrics),
    multipath: attribute(9, "RTA_MULTIPATH", nexthops),
    source: attribute(2, "RTA_SRC", ip),
    inputIndex: attribute(3, "RTA_IIF", u32),
    flow: attribute(11, "RTA_FLOW", u32),
    mark: attribute(16, "RTA_MARK", u32),
    via: attribute(18, "RTA_VIA", bytes), // a gateway of another family: u16 family, address
    preference: attribute(20, "RTA_PREF", u8),
    encapsulationType: attribute(21, "RTA_ENCAP_TYPE", u16),
    encapsulation: attribute(22, "RTA_ENCAP", bytes),
    expiresSeconds: attribute(23, "RTA_EXPIRES", u32),
    uid: attribute(25, "RTA_UID", u32),
    ttlPropagate: attribute(26, "RTA_TTL_PROPAGATE", u8),
    ipProtocol: attribute(27, "RTA_IP_PROTO", u8),
    sourcePort: attribute(28, "RTA_SPORT", u16be),
    destinationPort: attribute(29, "RTA_DPORT", u16be),
    nexthopId: attribute(30, "RTA_NH_ID", u32),
    cacheInfo: attribute(
      12,
      "RTA_CACHEINFO",
      struct({
        clientReferences: u32,
        lastUse: u32,
        expires: s32,
        error: u32,
        used: u32,
        id: u32,
        timestamp: u32,
        timestampAge: u32,
      }),
    ),
  },
});
export type RouteMessage = MessageOf<typeof routeMessage>;
