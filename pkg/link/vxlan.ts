/** VXLAN devices: what `ip link add … type vxlan` and `ip -d link show` do. */
import { type Address, isIPv4 } from "../ip/address.ts";
import { type Connection, query, type Request, request } from "../netlink/connection.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/frame.ts";
import { type MessageOf, only } from "../netlink/message.ts";
import { IFF_UP } from "../netlink/rtnetlink/link/interface.ts";
import { linkMessage, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK, RTM_NEWLINK } from "../netlink/rtnetlink/link.ts";

/** What one is made with. */
export interface VxlanSettings {
  vni: number;
  /** Index of the interface below. */
  parent: number;
  /** Source of its packets, which tells the family of the network below. */
  local: Address;
  /** UDP; 0: the kernel's own (8472, or what its module was told). */
  port: number;
  /** Whether it learns from packets which MAC is where. */
  learning: boolean;
  /** Group policy in its header. */
  gbp: boolean;
}

/** One as the kernel tells it. */
export interface VxlanLink {
  index: number;
  name: string;
  mac: Uint8Array;
  mtu: number;
  isUp: boolean;
  /** undefined: a link of that name is of another kind. */
  vxlan:
    | (Omit<VxlanSettings, "local"> & { local: Address | undefined; hasGroup: boolean; l2Miss: boolean })
    | undefined;
}

const vxlanSummary = only(linkMessage, ["ifName", "mtu", "address", "linkInfo", "extMask"]);

/** A link of that name, of whatever kind. */
export function findVxlan(route: Connection, ifName: string): VxlanLink | undefined {
  const value = { ifName, extMask: RTEXT_FILTER_SKIP_STATS };
  const answer = route.find(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: vxlanSummary, value }));
  return answer && vxlanLinkOf(answer);
}

/** All of them. */
export function listVxlans(route: Connection): VxlanLink[] {
  const value = { extMask: RTEXT_FILTER_SKIP_STATS };
  return route
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

/** `ip link set dev <index> type vxlan local <local> dev <parent> [no]learning`: all that can be changed while packets pass. */
export function changeVxlan(index: number, settings: VxlanSettings): Request {
  const data = { ...ends(settings), learning: settings.learning };
  const value = { index, linkInfo: { kind: "vxlan", data } } as const;
  return request({ name: "RTM_NEWLINK", type: RTM_NEWLINK, table: linkMessage, value });
}

const ends = ({ parent, local }: VxlanSettings) => ({
  link: parent,
  ...(isIPv4(local) ? { local } : { local6: local }),
});
