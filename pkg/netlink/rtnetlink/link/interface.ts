// The rows that every link message has, whatever its kind: the link's own and the one of a veth's peer, which nests in it.
import { attribute, message } from "../../message.ts";
import { bytes, cstring, list, mac, named, nested, s32, text, u8, u16, u32 } from "../../wire.ts";
import { families } from "../family.ts";

export const IFF_UP = 0x1;
export const IFF_BROADCAST = 0x2;
export const IFF_LOOPBACK = 0x8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_PROMISC = 0x100;
export const IFF_ALLMULTI = 0x200;
export const IFF_MULTICAST = 0x1000;
export const IFF_LOWER_UP = 0x10000;

/** struct ifinfomsg. `flags` are IFF_*, of which those in `change` are set. */
export const interfaceHeader = { family: named(u8, families), type: u16, index: u32, flags: u32, change: u32 };

export const interfaceAttributes = {
  ifName: attribute(3, "IFLA_IFNAME", cstring),
  mtu: attribute(4, "IFLA_MTU", u32),
  address: attribute(1, "IFLA_ADDRESS", mac),
  broadcast: attribute(2, "IFLA_BROADCAST", mac),
  master: attribute(10, "IFLA_MASTER", u32), // index of the bridge or VRF; 0 sets free
  link: attribute(5, "IFLA_LINK", u32), // index of the parent, or of a veth's peer
  netnsFd: attribute(28, "IFLA_NET_NS_FD", u32),
  netnsPid: attribute(19, "IFLA_NET_NS_PID", u32),
  linkNetnsId: attribute(37, "IFLA_LINK_NETNSID", s32), // where `link` is; -1: not known
  targetNetnsId: attribute(46, "IFLA_TARGET_NETNSID", s32),
  newNetnsId: attribute(45, "IFLA_NEW_NETNSID", s32),
  newIndex: attribute(49, "IFLA_NEW_IFINDEX", s32),
  alias: attribute(20, "IFLA_IFALIAS", text),
  altIfName: attribute(53, "IFLA_ALT_IFNAME", cstring),
  altIfNames: attribute(52, "IFLA_PROP_LIST", nested(list(53, "IFLA_ALT_IFNAME", cstring))),
  txQueueLength: attribute(13, "IFLA_TXQLEN", u32),
  txQueues: attribute(31, "IFLA_NUM_TX_QUEUES", u32),
  rxQueues: attribute(32, "IFLA_NUM_RX_QUEUES", u32),
  group: attribute(27, "IFLA_GROUP", u32),
  extMask: attribute(29, "IFLA_EXT_MASK", u32), // RTEXT_FILTER_*: what a dump should have besides, or leave out
  promiscuity: attribute(30, "IFLA_PROMISCUITY", u32),
  allMulticast: attribute(61, "IFLA_ALLMULTI", u32),
  minMtu: attribute(50, "IFLA_MIN_MTU", u32),
  maxMtu: attribute(51, "IFLA_MAX_MTU", u32),
  operState: attribute(16, "IFLA_OPERSTATE", u8), // IF_OPER_*
  linkMode: attribute(17, "IFLA_LINKMODE", u8),
  carrier: attribute(33, "IFLA_CARRIER", u8),
  carrierChanges: attribute(35, "IFLA_CARRIER_CHANGES", u32),
  carrierUpCount: attribute(47, "IFLA_CARRIER_UP_COUNT", u32),
  carrierDownCount: attribute(48, "IFLA_CARRIER_DOWN_COUNT", u32),
  protoDown: attribute(39, "IFLA_PROTO_DOWN", u8),
  gsoMaxSegments: attribute(40, "IFLA_GSO_MAX_SEGS", u32),
  gsoMaxSize: attribute(41, "IFLA_GSO_MAX_SIZE", u32),
  groMaxSize: attribute(58, "IFLA_GRO_MAX_SIZE", u32),
  tsoMaxSize: attribute(59, "IFLA_TSO_MAX_SIZE", u32),
  tsoMaxSegments: attribute(60, "IFLA_TSO_MAX_SEGS", u32),
  gsoIpv4MaxSize: attribute(63, "IFLA_GSO_IPV4_MAX_SIZE", u32),
  groIpv4MaxSize: attribute(64, "IFLA_GRO_IPV4_MAX_SIZE", u32),
  qdisc: attribute(6, "IFLA_QDISC", cstring),
  permanentAddress: attribute(54, "IFLA_PERM_ADDRESS", mac),
  physicalPortName: attribute(38, "IFLA_PHYS_PORT_NAME", cstring),
  parentDeviceName: attribute(56, "IFLA_PARENT_DEV_NAME", cstring),
  parentDeviceBusName: attribute(57, "IFLA_PARENT_DEV_BUS_NAME", cstring),
  netnsImmutable: attribute(67, "IFLA_NETNS_IMMUTABLE", u8),
  headroom: attribute(68, "IFLA_HEADROOM", u16),
  tailroom: attribute(69, "IFLA_TAILROOM", u16),
  event: attribute(44, "IFLA_EVENT", u32),
  stats: attribute(7, "IFLA_STATS", bytes),
  stats64: attribute(23, "IFLA_STATS64", bytes),
  map: attribute(14, "IFLA_MAP", bytes),
  xdp: attribute(43, "IFLA_XDP", bytes),
  devlinkPort: attribute(62, "IFLA_DEVLINK_PORT", bytes),
  dpllPin: attribute(65, "IFLA_DPLL_PIN", bytes),
  maxPacingOffloadHorizon: attribute(66, "IFLA_MAX_PACING_OFFLOAD_HORIZON", bytes),
};

/** A link without what its kind adds. */
export const interfaceMessage = message({
  source: "linux/rtnetlink.h: struct ifinfomsg; linux/if_link.h: IFLA_*",
  header: interfaceHeader,
  attributes: interfaceAttributes,
});
