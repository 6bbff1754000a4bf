// `ip link add link … type vlan id …`.
import { attribute, message } from "../../message.ts";
import { list, struct, u16, u16be, u32 } from "../../wire.ts";

export const VLAN_FLAG_REORDER_HDR = 1;
export const VLAN_FLAG_GVRP = 2;
export const VLAN_FLAG_LOOSE_BINDING = 4;
export const VLAN_FLAG_MVRP = 8;
export const VLAN_FLAG_BRIDGE_BINDING = 16;

const priorityMapping = list(1, "IFLA_VLAN_QOS_MAPPING", struct({ from: u32, to: u32 }));

/** IFLA_INFO_DATA of kind "vlan". */
export const vlan = message({
  source: "linux/if_link.h: IFLA_VLAN_*; linux/if_vlan.h: VLAN_FLAG_*",
  attributes: {
    id: attribute(1, "IFLA_VLAN_ID", u16),
    flags: attribute(2, "IFLA_VLAN_FLAGS", struct({ flags: u32, mask: u32 })),
    egressPriorities: attribute(3, "IFLA_VLAN_EGRESS_QOS", priorityMapping),
    ingressPriorities: attribute(4, "IFLA_VLAN_INGRESS_QOS", priorityMapping),
    protocol: attribute(5, "IFLA_VLAN_PROTOCOL", u16be), // 0x8100 or 0x88a8
  },
});
