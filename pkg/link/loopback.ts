/** The loopback interface of a namespace. */
import type { Connection } from "../netlink/connection.ts";
import { findLink, setUp } from "./link.ts";

/** Sets `lo` up. A namespace that no runtime made has it down: nobody in there reaches its own addresses then, nor the resolver. */
export function setUpLoopback(rtnl: Connection): void {
  const loopback = findLink(rtnl, "lo");
  if (loopback !== undefined && !loopback.up) rtnl.request(setUp(loopback.index));
}
