/**
 * Deletes a link without waiting for the kernel's cleanup.
 *
 * After a link is gone, the kernel keeps the process that deleted it waiting for some 15 ms more, for a grace period
 * (netdev_run_todo). Here a child process waits instead: the plugin continues when the kernel announces that the link is gone.
 * The child outlives the plugin by those milliseconds and is then reaped by the process that adopts it. For that reason this is
 * optional: TWILL_FAST_DEL=1 in the runtime's environment.
 *
 * Rejected: no acknowledgement, setting the link down first, deletion by group: all wait as long (measured).
 */
import { connect, listen, NETLINK_ROUTE } from "../netlink/connection.ts";
import { decode } from "../netlink/message.ts";
import { AF_UNSPEC } from "../netlink/rtnetlink/family.ts";
import { interfaceMessage } from "../netlink/rtnetlink/link/interface.ts";
import { RTM_DELLINK } from "../netlink/rtnetlink/link.ts";
import { closeFile } from "../sys/file.ts";
import type { Namespace } from "../sys/namespace.ts";
import { exitNow, findOutcome, fork, standardError, standardInput, standardOutput, variable } from "../sys/process.ts";
import { deleteLink, findLink } from "./link.ts";

/** linux/rtnetlink.h */
const RTMGRP_LINK = 1;
/** The time between two checks whether the child has failed. */
const PATIENCE_MS = 20;

export const wantsFastDelete = (): boolean => variable("TWILL_FAST_DEL") === "1";

/** Deletes the link and returns as soon as it is gone. @returns false when there was none. */
export function deleteLinkFast(netns: Namespace, name: string): boolean {
  const rtnl = connect(NETLINK_ROUTE, netns);
  const link = findLink(rtnl, name);
  if (link === undefined) return false;
  const events = listen(NETLINK_ROUTE, RTMGRP_LINK, netns);

  const child = fork();
  if (child === 0) {
    for (const fd of [standardInput, standardOutput, standardError]) closeFile(fd); // the runtime waits until they are closed
    exitNow(attempt(() => deleteLink(rtnl, name)) ? 0 : 1);
  }

  for (;;) {
    const messages = events.next(PATIENCE_MS) ?? [];
    const gone = messages.some(({ type, body }) => {
      if (type !== RTM_DELLINK) return false;
      const { family, index } = decode(interfaceMessage, body);
      return family === AF_UNSPEC && index === link.index; // not AF_BRIDGE: a bridge announces the removal of its port earlier
    });
    if (gone) return true;
    if (findOutcome(child) !== undefined) return deleteLink(rtnl, name); // it failed, or the message was missed: find out which
  }
}

function attempt(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch {
    return false; // the parent gets the same refusal and reports it
  }
}
