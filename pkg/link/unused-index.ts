/** Chooses the index of a new link in advance, so that further messages of the same send can refer to the link. */
import type { Connection } from "../netlink/connection.ts";
import { hostIsLittle } from "../netlink/wire.ts";
import { Errno, SystemError } from "../sys/errno.ts";
import { randomBytes } from "../sys/random.ts";
import { ask } from "../sys/syscall.ts";
import { IFREQ_SIZE, IFREQ_VALUE } from "./ifreq.ts";

/** linux/sockios.h */
const SIOCGIFNAME = 0x8910;

/**
 * The lowest index to choose. Indexes go up to 2^31 - 1 and the kernel counts up from 1, so the upper half has only randomly chosen ones.
 */
const FIRST = 2 ** 30;

/** Returns an index that no link has. @throws SystemError the kernel cannot be asked */
export function unusedIndex(rtnl: Connection): number {
  for (;;) {
    const index = FIRST + (new DataView(randomBytes(4).buffer).getUint32(0, true) >>> 2);
    if (!isUsed(rtnl, index)) return index;
  }
}

/** Reports whether a link has the index. Uses an ioctl because it does not wait for the RTNL lock, as RTM_GETLINK does. */
function isUsed(rtnl: Connection, index: number): boolean {
  const request = new Uint8Array(IFREQ_SIZE);
  new DataView(request.buffer).setInt32(IFREQ_VALUE, index, hostIsLittle);
  const result = ask("ioctl", rtnl.fd, SIOCGIFNAME, request);
  if (result < 0 && result !== -Errno.ENODEV) throw new SystemError("ioctl SIOCGIFNAME", -result);
  return result >= 0;
}
