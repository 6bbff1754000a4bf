/** The name of a link by its index, with an ioctl: it does not wait for the RTNL lock, as RTM_GETLINK does. */
import type { Connection } from "../netlink/connection.ts";
import { hostIsLittle } from "../netlink/wire.ts";
import { Errno, SystemError } from "../sys/errno.ts";
import { ask } from "../sys/syscall.ts";
import { IFREQ_SIZE, IFREQ_VALUE, ifreqName } from "./ifreq.ts";

/** linux/sockios.h */
const SIOCGIFNAME = 0x8910;

/** Returns the name of the link; undefined when there is none of that index. @throws SystemError the kernel cannot be asked */
export function findLinkName(rtnl: Connection, index: number): string | undefined {
  const request = new Uint8Array(IFREQ_SIZE);
  new DataView(request.buffer).setInt32(IFREQ_VALUE, index, hostIsLittle);
  const result = ask("ioctl", rtnl.fd, SIOCGIFNAME, request);
  if (result === -Errno.ENODEV) return undefined;
  if (result < 0) throw new SystemError("ioctl SIOCGIFNAME", -result);
  return ifreqName(request);
}
