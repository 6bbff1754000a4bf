/** VRFs, which give the links enslaved to them a routing table of their own: what `ip link … type vrf` and `ip link set … master` do. */
import { type Connection, query, type Request, request } from "../netlink/connection.ts";
import { only } from "../netlink/message.ts";
import { IFF_LOWER_UP, IFF_UP } from "../netlink/rtnetlink/link/interface.ts";
import { linkMessage, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK, RTM_SETLINK } from "../netlink/rtnetlink/link.ts";

/** A link, seen as one that is a VRF or may be in one. */
export interface VrfPort {
  index: number;
  name: string;
  kind: string;
  up: boolean;
  hasCarrier: boolean;
  /** Index of the VRF, bridge … it is enslaved to; 0 for none. */
  master: number;
  /** Of a VRF: its routing table. */
  table: number | undefined;
}

const memberSummary = only(linkMessage, ["ifName", "master", "linkInfo", "extMask"]);

/** All links. */
export function listVrfPorts(route: Connection): VrfPort[] {
  const value = { extMask: RTEXT_FILTER_SKIP_STATS };
  const all = route.dump(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: memberSummary, value }));
  return all.map(({ index, ifName = "", flags, master = 0, linkInfo }) => ({
    index,
    name: ifName,
    kind: linkInfo?.kind ?? "",
    up: (flags & IFF_UP) !== 0,
    hasCarrier: (flags & IFF_LOWER_UP) !== 0,
    master,
    table: linkInfo?.kind === "vrf" ? linkInfo.data?.table : undefined,
  }));
}

/** `ip link set <index> master <master>`, with 0 `nomaster`. The kernel sets the link down and up again when it is up. */
export function setMaster(index: number, master: number): Request {
  return request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value: { index, master } });
}
