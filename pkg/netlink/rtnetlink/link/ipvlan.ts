// `ip link add link … type ipvlan mode …`.
import { attribute, message } from "../../message.ts";
import { named, u16 } from "../../wire.ts";

export const IPVLAN_MODE_L2 = 0;
export const IPVLAN_MODE_L3 = 1;
export const IPVLAN_MODE_L3S = 2;

export const IPVLAN_F_PRIVATE = 1;
export const IPVLAN_F_VEPA = 2;

/** IFLA_INFO_DATA of kind "ipvlan". */
export const ipvlan = message({
  source: "linux/if_link.h: IFLA_IPVLAN_*",
  attributes: {
    mode: attribute(1, "IFLA_IPVLAN_MODE", named(u16, { IPVLAN_MODE_L2, IPVLAN_MODE_L3, IPVLAN_MODE_L3S })),
    flags: attribute(2, "IFLA_IPVLAN_FLAGS", u16),
  },
});
