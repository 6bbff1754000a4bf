/** VXLAN devices, as `ip link add … type vxlan` and `ip -d link show` handle them. */
import { type Address, isIPv4 } from "../ip/address.ts";
import { type Connection, query, type Request, request } from "../netlink/connection.ts";
import { type MessageOf, only } from "../netlink/message.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/nlmsg.ts";
import { IFF_UP } from "../netlink/rtnetlink/link/interface.ts";
import { linkMessage, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK, RTM_NEWLINK } from "../netlink/rtnetlink/link.ts";

/** The settings of a VXLAN device. */
export interface VxlanSettings {
  vni: number;
  /** The index of the parent interface. */
  parent: number;
  /** The source address of its packets; its family is that of the underlying network. */
  local: Address;
  /** The UDP port; 0: the kernel's default (8472, or the module's parameter). */
  port: number;
  /** Whether it learns forwarding entries from received packets. */
  learning: boolean;
  /** Whether its header carries a group policy ID. */
  gbp: boolean;
}

/** A link as the kernel reports it, with the settings of a VXLAN device. */
export interface VxlanLink {
  index: number;
  name: string;
  mac: Uint8Array;
  mtu: number;
  isUp: boolean;
  /** The settings; undefined when the link is of another kind. */
  vxlan:
    | (Omit<VxlanSettings, "local"> & { local: Address | undefined; hasGroup: boolean; l2Miss: boolean })
    | undefined;
}

const vxlanSummary = only(linkMessage, ["ifName", "mtu", "address", "linkInfo", "extMask"]);

/** Returns the link of that name, of any kind; undefined when there is none. */
export function findVxlan(rtnl: Connection, ifName: string): VxlanLink | undefined {
  const value = { ifName, extMask: RTEXT_FILTER_SKIP_STATS };
  const answer = rtnl.find(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: vxlanSummary, value }));
  return answer && vxlanLinkOf(answer);
}

/** Returns all VXLAN devices. */
export function listVxlans(rtnl: Connection): VxlanLink[] {
  const value = { extMask: RTEXT_FILTER_SKIP_STATS };
  return rtnl
    .dump(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: vxlanSummary, value }))
    .map(vxlanLinkOf)
    .filter(({ vxlan }) => vxlan !== undefined);
}

function vxlanLinkOf(message: MessageOf<typeof vxlanSummary>): VxlanLink {
  const { index, ifName: name = "", address: mac = new Uint8Array(6), mtu = 0, flags, linkInfo } = message;
  const link = { index, name, mac, mtu, isUp: (flags & IFF_UP) !== 0 };
  if (linkInfo?.kind !== "vxlan" || linkInfo.data === undefined) return { ...link, vxlan: undefined };
  const { id = 0, link: parent = 0, port = 0, learning = false, gbp = false, l2Miss = false, ...data } = linkInfo.data;
  const hasGroup = data.group !== undefined || data.group6 !== undefined;
  const vxlan = { vni: id, parent, port, learning, gbp, l2Miss, hasGroup, local: data.local ?? data.local6 };
  return { ...link, vxlan };
}

/** `ip link add <name> address <mac> mtu <mtu> type vxlan id <vni> dev <parent> local <local> …` */
export function addVxlan(settings: VxlanSettings, link: { name: string; mac: Uint8Array; mtu: number }): Request {
  const { vni, port, gbp, learning } = settings;
  return request({
    name: "RTM_NEWLINK",
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    table: linkMessage,
    value: {
      ifName: link.name,
      address: link.mac,
      mtu: link.mtu,
      linkInfo: {
        kind: "vxlan",
        data: { id: vni, ...ends(settings), learning, ...(port > 0 && { port }), gbp },
      },
    },
  });
}

/** `ip link set dev <index> type vxlan local <local> dev <parent> [no]learning`: the settings that can be changed on an existing device. */
export function changeVxlan(index: number, settings: VxlanSettings): Request {
  const data = { ...ends(settings), learning: settings.learning };
  const value = { index, linkInfo: { kind: "vxlan", data } } as const;
  return request({ name: "RTM_NEWLINK", type: RTM_NEWLINK, table: linkMessage, value });
}

const ends = ({ parent, local }: VxlanSettings) => ({
  link: parent,
  ...(isIPv4(local) ? { local } : { local6: local }),
});
