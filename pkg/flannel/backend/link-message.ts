/** Tells which link a netlink notification is about. */
import type { Nlmsg } from "../../netlink/nlmsg.ts";
import { RTM_DELADDR, RTM_NEWADDR } from "../../netlink/rtnetlink/address.ts";
import { RTM_DELLINK, RTM_NEWLINK } from "../../netlink/rtnetlink/link.ts";
import { Input, u32 } from "../../netlink/wire.ts";

/** Reads the link index of ifinfomsg, ifaddrmsg and ndmsg, which have it at the same offset. */
export const ifindexOf = (body: Uint8Array): number => (body.length < 8 ? 0 : u32.read(new Input(body), 4, 8, {}));

/** Reports whether the message is about this link or its addresses. */
export const isAboutLink = ({ type, body }: Nlmsg, index: number): boolean =>
  [RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR].includes(type) && ifindexOf(body) === index;
