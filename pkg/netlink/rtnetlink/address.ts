// `ip address`: the addresses of links.
import { attribute, type MessageOf, message } from "../message.ts";
import { cstring, ip, named, struct, u8, u32 } from "../wire.ts";
import { families } from "./family.ts";

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

export const IFA_F_SECONDARY = 0x01; // IPv6: temporary
export const IFA_F_NODAD = 0x02;
export const IFA_F_OPTIMISTIC = 0x04;
export const IFA_F_DADFAILED = 0x08;
export const IFA_F_HOMEADDRESS = 0x10;
export const IFA_F_DEPRECATED = 0x20;
export const IFA_F_TENTATIVE = 0x40;
export const IFA_F_PERMANENT = 0x80;
export const IFA_F_MANAGETEMPADDR = 0x100;
export const IFA_F_NOPREFIXROUTE = 0x200;
export const IFA_F_MCAUTOJOIN = 0x400;
export const IFA_F_STABLE_PRIVACY = 0x800;

/** RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR. */
export const addressMessage = message({
  source: "linux/if_addr.h: struct ifaddrmsg, IFA_*",
  header: { family: named(u8, families), prefixLength: u8, flags: u8, scope: u8, index: u32 },
  attributes: {
    local: attribute(2, "IFA_LOCAL", ip), // IPv6: only on point-to-point links
    address: attribute(1, "IFA_ADDRESS", ip), // the peer's on point-to-point links, else = local
    broadcast: attribute(4, "IFA_BROADCAST", ip),
    label: attribute(3, "IFA_LABEL", cstring),
    anycast: attribute(5, "IFA_ANYCAST", ip),
    multicast: attribute(7, "IFA_MULTICAST", ip),
    longFlags: attribute(8, "IFA_FLAGS", u32), // all 32 bits; `flags` above has room for 8
    routePriority: attribute(9, "IFA_RT_PRIORITY", u32), // metric of the prefix route
    targetNetnsId: attribute(10, "IFA_TARGET_NETNSID", u32),
    protocol: attribute(11, "IFA_PROTO", u8),
    cacheInfo: attribute(
      6,
      "IFA_CACHEINFO",
      struct({ preferredSeconds: u32, validSeconds: u32, createdCentiseconds: u32, updatedCentiseconds: u32 }),
    ),
  },
});
export type AddressMessage = MessageOf<typeof addressMessage>;
