// `bridge link set dev …`, `ip link set dev … type bridge_slave …`: a link as the port of a bridge.
import { attribute, message } from "../../message.ts";
import { bool, bytes, flag, u8, u16, u32, u64 } from "../../wire.ts";

export const BR_STATE_DISABLED = 0;
export const BR_STATE_LISTENING = 1;
export const BR_STATE_LEARNING = 2;
export const BR_STATE_FORWARDING = 3;
export const BR_STATE_BLOCKING = 4;

/** IFLA_PROTINFO of family AF_BRIDGE, IFLA_INFO_SLAVE_DATA of kind "bridge". */
export const bridgePort = message({
  source: "linux/if_link.h: IFLA_BRPORT_*",
  attributes: {
    state: attribute(1, "IFLA_BRPORT_STATE", u8),
    priority: attribute(2, "IFLA_BRPORT_PRIORITY", u16),
    cost: attribute(3, "IFLA_BRPORT_COST", u32),
    hairpin: attribute(4, "IFLA_BRPORT_MODE", bool),
    bpduGuard: attribute(5, "IFLA_BRPORT_GUARD", bool),
    rootBlock: attribute(6, "IFLA_BRPORT_PROTECT", bool),
    fastLeave: attribute(7, "IFLA_BRPORT_FAST_LEAVE", bool),
    learning: attribute(8, "IFLA_BRPORT_LEARNING", bool),
    flood: attribute(9, "IFLA_BRPORT_UNICAST_FLOOD", bool),
    proxyArp: attribute(10, "IFLA_BRPORT_PROXYARP", bool),
    learningSync: attribute(11, "IFLA_BRPORT_LEARNING_SYNC", bool),
    proxyArpWifi: attribute(12, "IFLA_BRPORT_PROXYARP_WIFI", bool),
    rootId: attribute(13, "IFLA_BRPORT_ROOT_ID", bytes),
    bridgeId: attribute(14, "IFLA_BRPORT_BRIDGE_ID", bytes),
    designatedPort: attribute(15, "IFLA_BRPORT_DESIGNATED_PORT", u16),
    designatedCost: attribute(16, "IFLA_BRPORT_DESIGNATED_COST", u16),
    id: attribute(17, "IFLA_BRPORT_ID", u16),
    number: attribute(18, "IFLA_BRPORT_NO", u16),
    topologyChangeAck: attribute(19, "IFLA_BRPORT_TOPOLOGY_CHANGE_ACK", u8),
    configPending: attribute(20, "IFLA_BRPORT_CONFIG_PENDING", u8),
    messageAgeTimer: attribute(21, "IFLA_BRPORT_MESSAGE_AGE_TIMER", u64),
    forwardDelayTimer: attribute(22, "IFLA_BRPORT_FORWARD_DELAY_TIMER", u64),
    holdTimer: attribute(23, "IFLA_BRPORT_HOLD_TIMER", u64),
    flush: attribute(24, "IFLA_BRPORT_FLUSH", flag),
    multicastRouter: attribute(25, "IFLA_BRPORT_MULTICAST_ROUTER", u8),
    multicastFlood: attribute(27, "IFLA_BRPORT_MCAST_FLOOD", bool),
    multicastToUnicast: attribute(28, "IFLA_BRPORT_MCAST_TO_UCAST", bool),
    vlanTunnel: attribute(29, "IFLA_BRPORT_VLAN_TUNNEL", bool),
    broadcastFlood: attribute(30, "IFLA_BRPORT_BCAST_FLOOD", bool),
    groupForwardMask: attribute(31, "IFLA_BRPORT_GROUP_FWD_MASK", u16),
    neighbourSuppress: attribute(32, "IFLA_BRPORT_NEIGH_SUPPRESS", bool),
    isolated: attribute(33, "IFLA_BRPORT_ISOLATED", bool),
    backupPort: attribute(34, "IFLA_BRPORT_BACKUP_PORT", u32),
    mrpRingOpen: attribute(35, "IFLA_BRPORT_MRP_RING_OPEN", bool),
    mrpInOpen: attribute(36, "IFLA_BRPORT_MRP_IN_OPEN", bool),
    multicastEhtHostsLimit: attribute(37, "IFLA_BRPORT_MCAST_EHT_HOSTS_LIMIT", u32),
    multicastEhtHostsCount: attribute(38, "IFLA_BRPORT_MCAST_EHT_HOSTS_CNT", u32),
    locked: attribute(39, "IFLA_BRPORT_LOCKED", bool),
    macAuthBypass: attribute(40, "IFLA_BRPORT_MAB", bool),
    multicastGroups: attribute(41, "IFLA_BRPORT_MCAST_N_GROUPS", u32),
    multicastMaxGroups: attribute(42, "IFLA_BRPORT_MCAST_MAX_GROUPS", u32),
    neighbourVlanSuppress: attribute(43, "IFLA_BRPORT_NEIGH_VLAN_SUPPRESS", bool),
    backupNexthopId: attribute(44, "IFLA_BRPORT_BACKUP_NHID", u32),
  },
});
