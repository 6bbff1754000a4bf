// A tun or tap device as the kernel tells of it. To make one takes an ioctl on /dev/net/tun, not a message.
import { attribute, message } from "../../message.ts";
import { bool, named, u8, u32 } from "../../wire.ts";

export const IFF_TUN = 1;
export const IFF_TAP = 2;

/** IFLA_INFO_DATA of kind "tun". */
export const tun = message({
  source: "linux/if_link.h: IFLA_TUN_*",
  attributes: {
    owner: attribute(1, "IFLA_TUN_OWNER", u32), // uid
    group: attribute(2, "IFLA_TUN_GROUP", u32), // gid
    type: attribute(3, "IFLA_TUN_TYPE", named(u8, { IFF_TUN, IFF_TAP })),
    packetInformation: attribute(4, "IFLA_TUN_PI", bool),
    vnetHeader: attribute(5, "IFLA_TUN_VNET_HDR", bool),
    persist: attribute(6, "IFLA_TUN_PERSIST", bool),
    multiQueue: attribute(7, "IFLA_TUN_MULTI_QUEUE", bool),
    queues: attribute(8, "IFLA_TUN_NUM_QUEUES", u32),
    disabledQueues: attribute(9, "IFLA_TUN_NUM_DISABLED_QUEUES", u32),
  },
});
