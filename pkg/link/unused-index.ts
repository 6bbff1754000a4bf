/** An index for a link that is about to be made: who knows it beforehand can name the link in further messages of the same send. */
import type { Connection } from "../netlink/connection.ts";
import { hostIsLittle } from "../netlink/wire.ts";
import { Errno, SystemError } from "../sys/errno.ts";
import { randomBytes } from "../sys/random.ts";
import { ask } from "../sys/syscall.ts";

/** linux/sockios.h, linux/if.h: struct ifreq, whose ifr_ifindex lies behind the name */
const SIOCGIFNAME = 0x8910;
const IFREQ_SIZE = 40;
const IFNAMSIZ = 16;

/** Indexes go up to 2^31 - 1. The kernel counts its own from 1, so that the upper half has only those that were chosen at random. */
const FIRST = 2 ** 30;

/** @throws SystemError */
export function unusedIndex(route: Connection): number {
  for (;;) {
    const index = FIRST + (new DataView(randomBytes(4).buffer).getUint32(0, true) >>> 2);
    if (!isUsed(route, index)) return index;
  }
}

/** An ioctl, since that does not wait for the kernel's lock of all links, as RTM_GETLINK does. */
function isUsed(route: Connection, index: number): boolean {
  const request = new Uint8Array(IFREQ_SIZE);
  new DataView(request.buffer).setInt32(IFNAMSIZ, index, hostIsLittle);
  const result = ask("ioctl", route.fd, SIOCGIFNAME, request);
  if (result < 0 && result !== -Errno.ENODEV) throw new SystemError("ioctl SIOCGIFNAME", -result);
  return result >= 0;
}
