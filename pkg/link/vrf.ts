/** VRFs, which give their ports a routing table of their own, as `ip link … type vrf` and `ip link set … master` handle them. */
import { type Connection, query } from "../netlink/connection.ts";
import { only } from "../netlink/message.ts";
import { IFF_LOWER_UP, IFF_UP } from "../netlink/rtnetlink/link/interface.ts";
import { linkMessage, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK } from "../netlink/rtnetlink/link.ts";

/** A link that is a VRF or can be a port of one. */
export interface VrfPort {
  index: number;
  name: string;
  kind: string;
  up: boolean;
  hasCarrier: boolean;
  /** The index of the VRF, bridge … that it is a port of; 0 for none. */
  master: number;
  /** The routing table of a VRF; undefined for other links. */
  table: number | undefined;
}

const memberSummary = only(linkMessage, ["ifName", "master", "linkInfo", "extMask"]);

/** Returns all links. */
export function listVrfPorts(rtnl: Connection): VrfPort[] {
  const value = { extMask: RTEXT_FILTER_SKIP_STATS };
  const all = rtnl.dump(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: memberSummary, value }));
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
