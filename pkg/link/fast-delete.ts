/**
 * Deleting a link without waiting for what comes after.
 *
 * Once a link is gone for everybody, the kernel keeps the process that asked for it waiting some 15 ms more, for a grace
 * period (netdev_run_todo). Here a child process waits instead: ours goes on when the kernel announces that the link is gone.
 * The child outlives the plugin for those milliseconds, and is then reaped by whoever adopts it, which is why this is a switch:
 * TWILL_FAST_DEL=1 in the runtime's environment.
 *
 * Rejected: not asking for an acknowledgement, setting the link down first, deleting by group: all wait as long (measured).
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
/** So long between two looks at whether the child has failed. */
const PATIENCE_MS = 20;

export const wantsFastDelete = (): boolean => variable("TWILL_FAST_DEL") === "1";

/** Deletes the link and returns as soon as it is gone. @returns false when there was none. */
export function deleteLinkFast(netns: Namespace, name: string): boolean {
  const route = connect(NETLINK_ROUTE, netns);
  const link = findLink(route, name);
  if (link === undefined) return false;
  const events = listen(NETLINK_ROUTE, RTMGRP_LINK, netns);

  const child = fork();
  if (child === 0) {
    for (const fd of [standardInput, standardOutput, standardError]) closeFile(fd); // the runtime waits for their end
    exitNow(attempt(() => deleteLink(route, name)) ? 0 : 1);
  }

  for (;;) {
    const messages = events.next(PATIENCE_MS) ?? [];
    const gone = messages.some(({ type, body }) => {
      if (type !== RTM_DELLINK) return false;
      const { family, index } = decode(interfaceMessage, body);
      return family === AF_UNSPEC && index === link.index; // a bridge's own message about its port comes earlier
    });
    if (gone) return true;
    if (findOutcome(child) !== undefined) return deleteLink(route, name); // it failed, or the message was missed: say which
  }
}

function attempt(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch {
    return false; // the parent meets the same refusal and reports it
  }
}
