/** The TUN device, which exists for as long as its descriptor is open. */
import { IFREQ_SIZE, IFREQ_VALUE, setIfreqName } from "../../link/ifreq.ts";
import {
  hasNoTun,
  IFF_NO_PI,
  IFF_TUN,
  IFF_VNET_HDR,
  setTunInterface,
  TUN_DEVICE,
  trySetTunInterface,
  tunInterface,
} from "../../link/tun.ts";
import { AF_INET } from "../../netlink/rtnetlink/family.ts";
import { isErrno } from "../../sys/errno.ts";
import { closeFile, Open, openFile } from "../../sys/file.ts";
import { openSocket, SOCK_DGRAM } from "../../sys/socket.ts";
import { ask, call } from "../../sys/syscall.ts";

/** linux/if_tun.h */
const TUNSETOFFLOAD = 0x400454d0;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_USO4 = 0x20; // Linux 6.2, which wants both
const TUN_F_USO6 = 0x40;
/** linux/sockios.h */
const SIOCGIFINDEX = 0x8933;

export interface TunDevice {
  fd: number;
  name: string;
  index: number;
  /** Whether each packet has a `struct virtio_net_hdr` before it, and so may be a super-packet of TCP. */
  hasVnetHeader: boolean;
  /** Whether super-packets of UDP may go in and out. */
  hasUdpOffload: boolean;
}

/** Makes the device, down. @throws Error says why not, with the remedy */
export function createTun(name: string, useVnetHeader: boolean): TunDevice {
  try {
    const fd = openFile(TUN_DEVICE, Open.readWrite | Open.nonBlocking);
    try {
      const flags = IFF_TUN | IFF_NO_PI;
      const withHeader = useVnetHeader ? trySetTunInterface(fd, name, flags | IFF_VNET_HDR) : undefined;
      return tunOf(fd, withHeader ?? setTunInterface(fd, name, flags), withHeader !== undefined);
    } catch (error) {
      closeFile(fd);
      throw error;
    }
  } catch (error) {
    throw refused(error, name);
  }
}

/** Returns the device whose descriptor another process has made, as it is. */
export function adoptTun(fd: number): TunDevice {
  const { name, flags } = tunInterface(fd);
  return tunOf(fd, name, (flags & IFF_VNET_HDR) !== 0);
}

/** Has the kernel hand over super-packets, where there is a header that says how to cut them. */
function tunOf(fd: number, name: string, hasVnetHeader: boolean): TunDevice {
  const tcp = TUN_F_CSUM | TUN_F_TSO4;
  const hasUdpOffload = hasVnetHeader && ask("ioctl", fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) === 0;
  if (hasVnetHeader && !hasUdpOffload) call("ioctl", "TUNSETOFFLOAD", fd, TUNSETOFFLOAD, tcp);
  return { fd, name, index: indexOf(name), hasVnetHeader, hasUdpOffload };
}

function indexOf(name: string): number {
  const request = new Uint8Array(IFREQ_SIZE);
  setIfreqName(request, name);
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    call("ioctl", `SIOCGIFINDEX ${name}`, fd, SIOCGIFINDEX, request);
    return new DataView(request.buffer).getInt32(IFREQ_VALUE, true);
  } finally {
    closeFile(fd);
  }
}

function refused(error: unknown, name: string): unknown {
  if (hasNoTun(error))
    return new Error(
      `there is no ${TUN_DEVICE}, which the udp backend needs. To fix: load the module (modprobe tun); in a container, give it the device (--device=${TUN_DEVICE})`,
    );
  if (isErrno(error, "EPERM", "EACCES"))
    return new Error(
      `${TUN_DEVICE} may not be opened, or no device made by it (${(error as Error).message}). To fix: run flanneld as root; in a container, give it the capability NET_ADMIN and the device (--device=${TUN_DEVICE})`,
    );
  if (isErrno(error, "EBUSY"))
    return new Error(
      `another program has the TUN device ${name} open, such as flannel's own flanneld. To fix: end that program, and the device is gone with it`,
    );
  if (isErrno(error, "EINVAL"))
    return new Error(
      `there is a link ${name} that is no TUN device. To fix: see what it is (ip -d link show ${name}), and delete or rename it`,
    );
  return error;
}
