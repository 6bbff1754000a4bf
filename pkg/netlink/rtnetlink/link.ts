// `ip link`: links and what their kind adds; a file each under link/.
import { attribute, type MessageOf, message, only, type RequestOf } from "../message.ts";
import { array, bytes, ip, s32, selected, text, u8, u32 } from "../wire.ts";
import { AF_INET, AF_INET6 } from "./family.ts";
import { bridge } from "./link/bridge.ts";
import { bridgePort } from "./link/bridge-port.ts";
import { interfaceAttributes, interfaceHeader } from "./link/interface.ts";
import { ipvlan } from "./link/ipvlan.ts";
import { macvlan } from "./link/macvlan.ts";
import { tun } from "./link/tun.ts";
import { veth } from "./link/veth.ts";
import { vlan } from "./link/vlan.ts";
import { vrf, vrfPort } from "./link/vrf.ts";
import { vxlan } from "./link/vxlan.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;
export const RTM_NEWLINKPROP = 108;
export const RTM_DELLINKPROP = 109;

export const RTEXT_FILTER_BRVLAN = 2;
export const RTEXT_FILTER_BRVLAN_COMPRESSED = 4;
export const RTEXT_FILTER_SKIP_STATS = 8;

export const IF_OPER_UNKNOWN = 0;
export const IF_OPER_DOWN = 2;
export const IF_OPER_LOWERLAYERDOWN = 3;
export const IF_OPER_DORMANT = 5;
export const IF_OPER_UP = 6;

export const IN6_ADDR_GEN_MODE_EUI64 = 0;
export const IN6_ADDR_GEN_MODE_NONE = 1;

/** IFLA_LINKINFO. Kinds that have nothing to set (dummy, ifb) have no table: `{ kind: "dummy" }`. */
export const linkInfo = message({
  source: "linux/if_link.h: IFLA_INFO_*",
  attributes: {
    kind: attribute(1, "IFLA_INFO_KIND", text),
    data: attribute(
      2,
      "IFLA_INFO_DATA",
      selected("kind", { bridge, ipvlan, macvlan, macvtap: macvlan, tun, veth, vlan, vrf, vxlan }),
    ),
    xstats: attribute(3, "IFLA_INFO_XSTATS", bytes),
    slaveKind: attribute(4, "IFLA_INFO_SLAVE_KIND", text),
    slaveData: attribute(5, "IFLA_INFO_SLAVE_DATA", selected("slaveKind", { bridge: bridgePort, vrf: vrfPort })),
  },
});

/** What IPv4 and IPv6 know of the link. `conf` are the values under /proc/sys/net/ipv4/conf (from 1) and ipv6/conf (from 0) in the kernel's order. */
const addressFamilies = message({
  source: "linux/if_link.h: IFLA_AF_SPEC, IFLA_INET_*, IFLA_INET6_*",
  attributes: {
    inet: attribute(
      AF_INET,
      "AF_INET",
      message({
        source: "linux/if_link.h: IFLA_INET_*; linux/ip.h: IPV4_DEVCONF_*",
        attributes: { conf: attribute(1, "IFLA_INET_CONF", array(s32)) },
      }),
    ),
    inet6: attribute(
      AF_INET6,
      "AF_INET6",
      message({
        source: "linux/if_link.h: IFLA_INET6_*; linux/ipv6.h: DEVCONF_*",
        attributes: {
          flags: attribute(1, "IFLA_INET6_FLAGS", u32),
          conf: attribute(2, "IFLA_INET6_CONF", array(s32)),
          stats: attribute(3, "IFLA_INET6_STATS", bytes),
          cacheInfo: attribute(5, "IFLA_INET6_CACHEINFO", bytes),
          icmpStats: attribute(6, "IFLA_INET6_ICMP6STATS", bytes),
          token: attribute(7, "IFLA_INET6_TOKEN", ip),
          addressGeneration: attribute(8, "IFLA_INET6_ADDR_GEN_MODE", u8), // IN6_ADDR_GEN_MODE_*
          routerMtu: attribute(9, "IFLA_INET6_RA_MTU", u32),
        },
      }),
    ),
  },
});

/** RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK of family AF_UNSPEC. */
export const linkMessage = message({
  source: "linux/rtnetlink.h: struct ifinfomsg; linux/if_link.h: IFLA_*",
  header: interfaceHeader,
  attributes: {
    ...interfaceAttributes,
    linkInfo: attribute(18, "IFLA_LINKINFO", linkInfo),
    addressFamilies: attribute(26, "IFLA_AF_SPEC", addressFamilies),
  },
});
export type LinkMessage = MessageOf<typeof linkMessage>;
export type LinkRequest = RequestOf<typeof linkMessage>;

/** What of a link one mostly wants to know, its kind without the kind's settings. */
export const linkSummary = only(
  message({
    source: linkMessage.source,
    header: interfaceHeader,
    attributes: { ...interfaceAttributes, linkInfo: attribute(18, "IFLA_LINKINFO", only(linkInfo, ["kind"])) },
  }),
  [
    "ifName",
    "altIfName",
    "mtu",
    "address",
    "master",
    "link",
    "operState",
    "alias",
    "permanentAddress",
    "parentDeviceName",
    "linkInfo",
    "extMask",
  ],
);
export type LinkSummary = MessageOf<typeof linkSummary>;
