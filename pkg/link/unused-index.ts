/** Chooses the index of a new link in advance, so that further messages of the same send can refer to the link. */
import type { Connection } from "../netlink/connection.ts";
import { randomBytes } from "../sys/random.ts";
import { findLinkName } from "./link-name.ts";

/**
 * The lowest index to choose. Indexes go up to 2^31 - 1 and the kernel counts up from 1, so the upper half has only randomly chosen ones.
 */
const FIRST = 2 ** 30;

/** Returns an index that no link has. @throws SystemError the kernel cannot be asked */
export function unusedIndex(rtnl: Connection): number {
  for (;;) {
    const index = FIRST + (new DataView(randomBytes(4).buffer).getUint32(0, true) >>> 2);
    if (findLinkName(rtnl, index) === undefined) return index;
  }
}
