/** The TUN device, which exists for as long as its descriptor is open. */
import { AF_INET } from "../../netlink/rtnetlink/family.ts";
import { isErrno } from "../../sys/errno.ts";
import { closeFile, Open, openFile } from "../../sys/file.ts";
import { openSocket, SOCK_DGRAM } from "../../sys/socket.ts";
import { ask, call } from "../../sys/syscall.ts";
import { decode, encode } from "../../sys/text.ts";

const DEVICE = "/dev/net/tun";

/** linux/if_tun.h */
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_USO4 = 0x20; // Linux 6.2, which wants both
const TUN_F_USO6 = 0x40;
/** linux/if.h: struct ifreq */
const IFREQ_SIZE = 40;
const IFNAMSIZ = 16;
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
    const fd = openFile(DEVICE, Open.readWrite | Open.nonBlocking);
    try {
      const request = interfaceRequest(name);
      const hasVnetHeader = useVnetHeader && setInterface(fd, request, IFF_VNET_HDR) === 0;
      if (!hasVnetHeader) call("ioctl", `TUNSETIFF ${name}`, fd, TUNSETIFF, flagged(request, 0));
      return tunOf(fd, request, hasVnetHeader);
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
  const request = new Uint8Array(IFREQ_SIZE);
  call("ioctl", "TUNGETIFF", fd, TUNGETIFF, request);
  const flags = new DataView(request.buffer).getUint16(IFNAMSIZ, true);
  return tunOf(fd, request, (flags & IFF_VNET_HDR) !== 0);
}

/** Has the kernel hand over super-packets, where there is a header that says how to cut them. @param request Its name */
function tunOf(fd: number, request: Uint8Array, hasVnetHeader: boolean): TunDevice {
  const name = decode(request, 0, request.indexOf(0));
  const tcp = TUN_F_CSUM | TUN_F_TSO4;
  const hasUdpOffload = hasVnetHeader && ask("ioctl", fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) === 0;
  if (hasVnetHeader && !hasUdpOffload) call("ioctl", "TUNSETOFFLOAD", fd, TUNSETOFFLOAD, tcp);
  return { fd, name, index: indexOf(name), hasVnetHeader, hasUdpOffload };
}

function interfaceRequest(name: string): Uint8Array {
  const request = new Uint8Array(IFREQ_SIZE);
  request.set(encode(name).subarray(0, IFNAMSIZ - 1));
  return request;
}

function flagged(request: Uint8Array, flags: number): Uint8Array {
  new DataView(request.buffer).setUint16(IFNAMSIZ, IFF_TUN | IFF_NO_PI | flags, true);
  return request;
}

/** The kernel writes the name that it chose into the request. */
const setInterface = (fd: number, request: Uint8Array, flags: number): number =>
  ask("ioctl", fd, TUNSETIFF, flagged(request, flags));

function indexOf(name: string): number {
  const request = interfaceRequest(name);
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    call("ioctl", `SIOCGIFINDEX ${name}`, fd, SIOCGIFINDEX, request);
    return new DataView(request.buffer).getInt32(IFNAMSIZ, true);
  } finally {
    closeFile(fd);
  }
}

function refused(error: unknown, name: string): unknown {
  if (isErrno(error, "ENOENT", "ENODEV", "ENXIO"))
    return new Error(
      `there is no ${DEVICE}, which the udp backend needs. To fix: load the module (modprobe tun); in a container, give it the device (--device=${DEVICE})`,
    );
  if (isErrno(error, "EPERM", "EACCES"))
    return new Error(
      `${DEVICE} may not be opened, or no device made by it (${(error as Error).message}). To fix: run flanneld as root; in a container, give it the capability NET_ADMIN and the device (--device=${DEVICE})`,
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
