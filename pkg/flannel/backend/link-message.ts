/** Tells which link a netlink notification is about. */
import { decode } from "../../netlink/message.ts";
import type { Nlmsg } from "../../netlink/nlmsg.ts";
import { RTM_DELADDR, RTM_NEWADDR } from "../../netlink/rtnetlink/address.ts";
import { IFF_UP } from "../../netlink/rtnetlink/link/interface.ts";
import { linkSummary, RTM_DELLINK, RTM_NEWLINK } from "../../netlink/rtnetlink/link.ts";
import { Input, u32 } from "../../netlink/wire.ts";

/** Reads the link index of ifinfomsg, ifaddrmsg and ndmsg, which have it at the same offset. */
export const ifindexOf = (body: Uint8Array): number => (body.length < 8 ? 0 : u32.read(new Input(body), 4, 8, {}));

/** Reports whether the message is about this link or its addresses. */
export const isAboutLink = ({ type, body }: Nlmsg, index: number): boolean =>
  [RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR].includes(type) && ifindexOf(body) === index;

/**
 * Reports whether a message about a link means that routes over it may be gone, which the kernel does not tell, or may be set again: it
 * went down or came up, is gone, or an address changed. Most messages are about something else, such as its carrier.
 */
export function mayChangeRoutes(message: Nlmsg, index: number): boolean {
  if (!isAboutLink(message, index)) return false;
  if (message.type !== RTM_NEWLINK) return true;
  const { flags, change } = decode(linkSummary, message.body);
  return (flags & IFF_UP) === 0 || (change & IFF_UP) !== 0;
}
