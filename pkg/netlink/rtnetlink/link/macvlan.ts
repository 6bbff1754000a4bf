// `ip link add link … type macvlan mode …`.
import { attribute, message } from "../../message.ts";
import { list, mac, named, u16, u32 } from "../../wire.ts";

export const MACVLAN_MODE_PRIVATE = 1;
export const MACVLAN_MODE_VEPA = 2;
export const MACVLAN_MODE_BRIDGE = 4;
export const MACVLAN_MODE_PASSTHRU = 8;
export const MACVLAN_MODE_SOURCE = 16;

export const MACVLAN_FLAG_NOPROMISC = 1;
export const MACVLAN_FLAG_NODST = 2;

const modes = {
  MACVLAN_MODE_PRIVATE,
  MACVLAN_MODE_VEPA,
  MACVLAN_MODE_BRIDGE,
  MACVLAN_MODE_PASSTHRU,
  MACVLAN_MODE_SOURCE,
};

/** IFLA_INFO_DATA of kind "macvlan". */
export const macvlan = message({
  source: "linux/if_link.h: IFLA_MACVLAN_*",
  attributes: {
    mode: attribute(1, "IFLA_MACVLAN_MODE", named(u32, modes)),
    flags: attribute(2, "IFLA_MACVLAN_FLAGS", u16),
    macMode: attribute(3, "IFLA_MACVLAN_MACADDR_MODE", u32),
    mac: attribute(4, "IFLA_MACVLAN_MACADDR", mac),
    macs: attribute(5, "IFLA_MACVLAN_MACADDR_DATA", list(4, "IFLA_MACVLAN_MACADDR", mac)),
    macCount: attribute(6, "IFLA_MACVLAN_MACADDR_COUNT", u32),
    broadcastQueueLength: attribute(7, "IFLA_MACVLAN_BC_QUEUE_LEN", u32),
    broadcastQueueLengthUsed: attribute(8, "IFLA_MACVLAN_BC_QUEUE_LEN_USED", u32),
  },
});
