// `ip link add type vxlan …`.
import { attribute, message } from "../../message.ts";
import { bool, bytes, flag, ip, struct, u8, u16be, u32, u32be, type Wire } from "../../wire.ts";

/** Asked for with a flag, told of with a byte. */
const flagOrByte: Wire<boolean> = { ...flag, read: (input, from, to) => from === to || input.bytes[from] !== 0 };

/** IFLA_INFO_DATA of kind "vxlan". */
export const vxlan = message({
  source: "linux/if_link.h: IFLA_VXLAN_*",
  attributes: {
    id: attribute(1, "IFLA_VXLAN_ID", u32),
    group: attribute(2, "IFLA_VXLAN_GROUP", ip), // or the one remote end
    group6: attribute(16, "IFLA_VXLAN_GROUP6", ip),
    link: attribute(3, "IFLA_VXLAN_LINK", u32),
    local: attribute(4, "IFLA_VXLAN_LOCAL", ip),
    local6: attribute(17, "IFLA_VXLAN_LOCAL6", ip),
    ttl: attribute(5, "IFLA_VXLAN_TTL", u8),
    tos: attribute(6, "IFLA_VXLAN_TOS", u8),
    learning: attribute(7, "IFLA_VXLAN_LEARNING", bool),
    ageingSeconds: attribute(8, "IFLA_VXLAN_AGEING", u32),
    limit: attribute(9, "IFLA_VXLAN_LIMIT", u32),
    sourcePorts: attribute(10, "IFLA_VXLAN_PORT_RANGE", struct({ low: u16be, high: u16be })),
    proxy: attribute(11, "IFLA_VXLAN_PROXY", bool),
    routeShortCircuit: attribute(12, "IFLA_VXLAN_RSC", bool),
    l2Miss: attribute(13, "IFLA_VXLAN_L2MISS", bool),
    l3Miss: attribute(14, "IFLA_VXLAN_L3MISS", bool),
    port: attribute(15, "IFLA_VXLAN_PORT", u16be),
    udpChecksum: attribute(18, "IFLA_VXLAN_UDP_CSUM", bool),
    udpZeroChecksum6Tx: attribute(19, "IFLA_VXLAN_UDP_ZERO_CSUM6_TX", bool),
    udpZeroChecksum6Rx: attribute(20, "IFLA_VXLAN_UDP_ZERO_CSUM6_RX", bool),
    remoteChecksumTx: attribute(21, "IFLA_VXLAN_REMCSUM_TX", bool),
    remoteChecksumRx: attribute(22, "IFLA_VXLAN_REMCSUM_RX", bool),
    gbp: attribute(23, "IFLA_VXLAN_GBP", flag), // group policy in the header
    remoteChecksumNoPartial: attribute(24, "IFLA_VXLAN_REMCSUM_NOPARTIAL", flag),
    collectMetadata: attribute(25, "IFLA_VXLAN_COLLECT_METADATA", bool),
    label: attribute(26, "IFLA_VXLAN_LABEL", u32be),
    gpe: attribute(27, "IFLA_VXLAN_GPE", flag),
    ttlInherit: attribute(28, "IFLA_VXLAN_TTL_INHERIT", flagOrByte),
    dontFragment: attribute(29, "IFLA_VXLAN_DF", u8),
    vniFilter: attribute(30, "IFLA_VXLAN_VNIFILTER", bool),
    localBypass: attribute(31, "IFLA_VXLAN_LOCALBYPASS", bool),
    labelPolicy: attribute(32, "IFLA_VXLAN_LABEL_POLICY", u32),
    reservedBits: attribute(33, "IFLA_VXLAN_RESERVED_BITS", bytes),
  },
});
