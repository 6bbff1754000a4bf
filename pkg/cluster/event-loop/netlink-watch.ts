/** Receives the kernel's netlink notifications, as `ip monitor` and `nft monitor` do. Node only. */

import { listen } from "../../netlink/connection.ts";
import type { Nlmsg } from "../../netlink/nlmsg.ts";
import { isErrno } from "../../sys/errno.ts";
import { SO_RCVBUFFORCE, SOL_SOCKET, trySocketOption } from "../../sys/socket.ts";
import { onReadable } from "./on-readable.ts";

/** linux/rtnetlink.h: RTMGRP_*, bits of `groups` for NETLINK_ROUTE. */
export const RTMGRP_LINK = 0x1;
export const RTMGRP_NEIGH = 0x4;
export const RTMGRP_IPV4_IFADDR = 0x10;
export const RTMGRP_IPV4_ROUTE = 0x40;
export const RTMGRP_IPV6_IFADDR = 0x100;
export const RTMGRP_IPV6_ROUTE = 0x400;
/** linux/netfilter/nfnetlink.h: 1 << (NFNLGRP_NFTABLES - 1), for NETLINK_NETFILTER. */
export const NFNLGRP_NFTABLES_BIT = 1 << 6;

/** Enough for some ten thousand messages, so that notifications of our own changes do not displace those of others. */
const BUFFER_BYTES = 8 << 20;

export interface NetlinkHandler {
  /** Called with messages, each with `type` RTM_* and so on; they are valid only during the call. */
  messages(nlmsgs: readonly Nlmsg[]): void;
  /** Called when the kernel dropped messages (ENOBUFS): all known state may be wrong. */
  overflowed(): void;
}

export interface Watching {
  /**
   * Reads the messages that have arrived. The kernel queues a change's notification before the request for it returns: a caller that
   * reads before and after its own changes receives their notifications while it still knows that they are its own.
   */
  read(): void;
  stop(): void;
}

export function watchNetlink(family: number, groups: number, { messages, overflowed }: NetlinkHandler): Watching {
  const listener = listen(family, groups);
  trySocketOption(listener.fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
  const read = () => {
    try {
      for (let nlmsgs = listener.next(0); nlmsgs !== undefined; nlmsgs = listener.next(0)) messages(nlmsgs);
    } catch (error) {
      if (!isErrno(error, "ENOBUFS")) throw error;
      overflowed();
    }
  };
  const stop = onReadable(listener.fd, read);
  return {
    read,
    stop() {
      stop();
      listener.close();
    },
  };
}
