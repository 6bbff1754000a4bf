// `bridge link`, `bridge vlan`: links as bridges see them. The messages of link.ts in family AF_BRIDGE, where the nests mean something else.
import { attribute, message } from "../message.ts";
import { nested, repeated, struct, u16 } from "../wire.ts";
import { bridgePort } from "./link/bridge-port.ts";
import { interfaceAttributes, interfaceHeader } from "./link/interface.ts";

export const BRIDGE_FLAGS_MASTER = 1; // meant for the bridge that the link is a port of
export const BRIDGE_FLAGS_SELF = 2; // meant for the link itself, which may be the bridge

export const BRIDGE_VLAN_INFO_MASTER = 1;
export const BRIDGE_VLAN_INFO_PVID = 2;
export const BRIDGE_VLAN_INFO_UNTAGGED = 4;
/** A range is two entries: its first VLAN with BEGIN, its last with END; the other flags are the same in both. */
export const BRIDGE_VLAN_INFO_RANGE_BEGIN = 8;
export const BRIDGE_VLAN_INFO_RANGE_END = 16;
export const BRIDGE_VLAN_INFO_BRENTRY = 32;
export const BRIDGE_VLAN_INFO_ONLY_OPTS = 64;

const bridgeSpec = message({
  source: "linux/if_bridge.h: IFLA_BRIDGE_*, struct bridge_vlan_info",
  attributes: {
    flags: attribute(0, "IFLA_BRIDGE_FLAGS", u16),
    mode: attribute(1, "IFLA_BRIDGE_MODE", u16),
    vlans: attribute(2, "IFLA_BRIDGE_VLAN_INFO", repeated(struct({ flags: u16, id: u16 }))),
  },
});

/** RTM_NEWLINK, RTM_SETLINK (adds VLANs), RTM_DELLINK (takes VLANs away), RTM_GETLINK of family AF_BRIDGE. */
export const bridgeLinkMessage = message({
  source: "linux/rtnetlink.h: struct ifinfomsg; linux/if_link.h: IFLA_*; linux/if_bridge.h",
  header: interfaceHeader,
  attributes: {
    ...interfaceAttributes,
    port: attribute(12, "IFLA_PROTINFO", nested(bridgePort)),
    bridge: attribute(26, "IFLA_AF_SPEC", bridgeSpec),
  },
});
