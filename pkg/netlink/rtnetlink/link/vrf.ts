// `ip link add type vrf table …`, and the links enslaved to one.
import { attribute, message } from "../../message.ts";
import { u32 } from "../../wire.ts";

/** IFLA_INFO_DATA of kind "vrf". */
export const vrf = message({
  source: "linux/if_link.h: IFLA_VRF_*",
  attributes: { table: attribute(1, "IFLA_VRF_TABLE", u32) },
});

/** IFLA_INFO_SLAVE_DATA of kind "vrf". */
export const vrfPort = message({
  source: "linux/if_link.h: IFLA_VRF_PORT_*",
  attributes: { table: attribute(1, "IFLA_VRF_PORT_TABLE", u32) },
});
