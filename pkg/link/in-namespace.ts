/** Rtnetlink in the network namespace of a container, or in the own one, for programs that go on and so have to close what they open. */
import type { Connection } from "../netlink/connection.ts";
import { closeNamespace, type Namespace } from "../sys/namespace.ts";
import { openRtnetlink } from "./link.ts";

/** Calls `work` with an rtnetlink socket in the namespace, then closes both. @returns what it returns */
export function inNamespace<T>(namespace: Namespace, work: (rtnl: Connection) => T): T {
  try {
    return withRtnetlink(namespace, work);
  } finally {
    closeNamespace(namespace);
  }
}

/** Calls `work` with an rtnetlink socket in the namespace, which stays open. @returns what it returns */
export const withRtnetlink = <T>(namespace: Namespace, work: (rtnl: Connection) => T): T =>
  closedAfter(openRtnetlink(namespace), work);

/** Calls `work` with an rtnetlink socket in the process's own namespace, then closes it. @returns what it returns */
export const withOwnRtnetlink = <T>(work: (rtnl: Connection) => T): T => closedAfter(openRtnetlink(), work);

function closedAfter<T>(rtnl: Connection, work: (rtnl: Connection) => T): T {
  try {
    return work(rtnl);
  } finally {
    rtnl.close();
  }
}
