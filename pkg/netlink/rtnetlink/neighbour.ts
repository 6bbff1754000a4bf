// `ip neighbour`, `bridge fdb`: who is where on a link. Forwarding entries are neighbours of family AF_BRIDGE with NTF_SELF or NTF_MASTER.
import { attribute, type MessageOf, message } from "../message.ts";
import { bytes, ip, mac, named, struct, u8, u16, u16be, u32 } from "../wire.ts";
import { families } from "./family.ts";

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;

export const NTF_USE = 0x01;
export const NTF_SELF = 0x02;
export const NTF_MASTER = 0x04;
export const NTF_PROXY = 0x08;
export const NTF_EXT_LEARNED = 0x10;
export const NTF_OFFLOADED = 0x20;
export const NTF_STICKY = 0x40;
export const NTF_ROUTER = 0x80;

/** RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH. */
export const neighbourMessage = message({
  source: "linux/neighbour.h: struct ndmsg, NDA_*",
  header: { family: named(u8, families), index: u32, state: u16, flags: u8, type: u8 },
  attributes: {
    destination: attribute(1, "NDA_DST", ip), // FDB: the remote VTEP
    linkAddress: attribute(2, "NDA_LLADDR", mac),
    vlan: attribute(5, "NDA_VLAN", u16),
    port: attribute(6, "NDA_PORT", u16be),
    vni: attribute(7, "NDA_VNI", u32),
    outputIndex: attribute(8, "NDA_IFINDEX", u32),
    master: attribute(9, "NDA_MASTER", u32),
    linkNetnsId: attribute(10, "NDA_LINK_NETNSID", u32),
    sourceVni: attribute(11, "NDA_SRC_VNI", u32),
    protocol: attribute(12, "NDA_PROTOCOL", u8),
    nexthopId: attribute(13, "NDA_NH_ID", u32),
    fdbAttributes: attribute(14, "NDA_FDB_EXT_ATTRS", bytes),
    longFlags: attribute(15, "NDA_FLAGS_EXT", u32), // NTF_EXT_*
    stateMask: attribute(16, "NDA_NDM_STATE_MASK", u16),
    flagsMask: attribute(17, "NDA_NDM_FLAGS_MASK", u8),
    probes: attribute(4, "NDA_PROBES", u32),
    cacheInfo: attribute(3, "NDA_CACHEINFO", struct({ confirmed: u32, used: u32, updated: u32, references: u32 })),
  },
});
export type NeighbourMessage = MessageOf<typeof neighbourMessage>;
