// `ip link add type bridge …`: a bridge and its settings. Times are in 1/100 s.
import { attribute, message } from "../../message.ts";
import { bool, bytes, flag, mac, struct, u8, u16, u16be, u32, u64 } from "../../wire.ts";

/** IFLA_INFO_DATA of kind "bridge". */
export const bridge = message({
  source: "linux/if_link.h: IFLA_BR_*",
  attributes: {
    forwardDelay: attribute(1, "IFLA_BR_FORWARD_DELAY", u32),
    helloTime: attribute(2, "IFLA_BR_HELLO_TIME", u32),
    maxAge: attribute(3, "IFLA_BR_MAX_AGE", u32),
    ageingTime: attribute(4, "IFLA_BR_AGEING_TIME", u32),
    stpState: attribute(5, "IFLA_BR_STP_STATE", u32),
    priority: attribute(6, "IFLA_BR_PRIORITY", u16),
    vlanFiltering: attribute(7, "IFLA_BR_VLAN_FILTERING", bool),
    vlanProtocol: attribute(8, "IFLA_BR_VLAN_PROTOCOL", u16be), // 0x8100 or 0x88a8
    groupForwardMask: attribute(9, "IFLA_BR_GROUP_FWD_MASK", u16),
    rootId: attribute(10, "IFLA_BR_ROOT_ID", bytes),
    bridgeId: attribute(11, "IFLA_BR_BRIDGE_ID", bytes),
    rootPort: attribute(12, "IFLA_BR_ROOT_PORT", u16),
    rootPathCost: attribute(13, "IFLA_BR_ROOT_PATH_COST", u32),
    topologyChange: attribute(14, "IFLA_BR_TOPOLOGY_CHANGE", u8),
    topologyChangeDetected: attribute(15, "IFLA_BR_TOPOLOGY_CHANGE_DETECTED", u8),
    helloTimer: attribute(16, "IFLA_BR_HELLO_TIMER", u64),
    tcnTimer: attribute(17, "IFLA_BR_TCN_TIMER", u64),
    topologyChangeTimer: attribute(18, "IFLA_BR_TOPOLOGY_CHANGE_TIMER", u64),
    gcTimer: attribute(19, "IFLA_BR_GC_TIMER", u64),
    groupAddress: attribute(20, "IFLA_BR_GROUP_ADDR", mac),
    fdbFlush: attribute(21, "IFLA_BR_FDB_FLUSH", flag),
    multicastRouter: attribute(22, "IFLA_BR_MCAST_ROUTER", u8),
    multicastSnooping: attribute(23, "IFLA_BR_MCAST_SNOOPING", bool),
    multicastQueryUseAddress: attribute(24, "IFLA_BR_MCAST_QUERY_USE_IFADDR", bool),
    multicastQuerier: attribute(25, "IFLA_BR_MCAST_QUERIER", bool),
    multicastHashElasticity: attribute(26, "IFLA_BR_MCAST_HASH_ELASTICITY", u32),
    multicastHashMax: attribute(27, "IFLA_BR_MCAST_HASH_MAX", u32),
    multicastLastMemberCount: attribute(28, "IFLA_BR_MCAST_LAST_MEMBER_CNT", u32),
    multicastStartupQueryCount: attribute(29, "IFLA_BR_MCAST_STARTUP_QUERY_CNT", u32),
    multicastLastMemberInterval: attribute(30, "IFLA_BR_MCAST_LAST_MEMBER_INTVL", u64),
    multicastMembershipInterval: attribute(31, "IFLA_BR_MCAST_MEMBERSHIP_INTVL", u64),
    multicastQuerierInterval: attribute(32, "IFLA_BR_MCAST_QUERIER_INTVL", u64),
    multicastQueryInterval: attribute(33, "IFLA_BR_MCAST_QUERY_INTVL", u64),
    multicastQueryResponseInterval: attribute(34, "IFLA_BR_MCAST_QUERY_RESPONSE_INTVL", u64),
    multicastStartupQueryInterval: attribute(35, "IFLA_BR_MCAST_STARTUP_QUERY_INTVL", u64),
    callIptables: attribute(36, "IFLA_BR_NF_CALL_IPTABLES", bool),
    callIp6tables: attribute(37, "IFLA_BR_NF_CALL_IP6TABLES", bool),
    callArptables: attribute(38, "IFLA_BR_NF_CALL_ARPTABLES", bool),
    vlanDefaultPvid: attribute(39, "IFLA_BR_VLAN_DEFAULT_PVID", u16), // 0: none
    vlanStatsEnabled: attribute(41, "IFLA_BR_VLAN_STATS_ENABLED", bool),
    multicastStatsEnabled: attribute(42, "IFLA_BR_MCAST_STATS_ENABLED", bool),
    multicastIgmpVersion: attribute(43, "IFLA_BR_MCAST_IGMP_VERSION", u8),
    multicastMldVersion: attribute(44, "IFLA_BR_MCAST_MLD_VERSION", u8),
    vlanStatsPerPort: attribute(45, "IFLA_BR_VLAN_STATS_PER_PORT", bool),
    fdbLearned: attribute(48, "IFLA_BR_FDB_N_LEARNED", u32),
    fdbMaxLearned: attribute(49, "IFLA_BR_FDB_MAX_LEARNED", u32),
    multicastQuerierState: attribute(47, "IFLA_BR_MCAST_QUERIER_STATE", bytes),
    options: attribute(46, "IFLA_BR_MULTI_BOOLOPT", struct({ values: u32, mask: u32 })), // BR_BOOLOPT_*
  },
});
