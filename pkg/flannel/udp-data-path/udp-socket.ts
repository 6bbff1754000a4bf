/** The UDP socket that datagrams to and from peers go through. */
import { AF_INET } from "../../netlink/rtnetlink/family.ts";
import { Errno, isErrno, SystemError } from "../../sys/errno.ts";
import { closeFile } from "../../sys/file.ts";
import {
  bindSocket,
  openSocket,
  SO_RCVBUFFORCE,
  SO_SNDBUFFORCE,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_SOCKET,
  setSocketOption,
  trySocketOption,
} from "../../sys/socket.ts";
import { ask } from "../../sys/syscall.ts";
import { addressNumber } from "./peer-table.ts";
import { PROCESS_NAME, portOwner } from "./port-owner.ts";

/** linux/socket.h, linux/udp.h */
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;
/** linux/in.h */
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_MTU = 14;
const IP_PMTUDISC_WANT = 1;
const IP_PMTUDISC_DO = 2;
export const MSG_DONTWAIT = 0x40;
const IPPROTO_RAW = 255;
/** How much waits for the other end of a thread's sleep; the kernel's default of 208 kB holds three super-datagrams. */
const BUFFER_BYTES = 4 << 20;

/** Opens and binds it. @throws Error says why not, with the remedy */
export function openUdpSocket(address: string, port: number): number {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    setPathMtuDiscovery(fd, "only whole");
    for (const option of [SO_SNDBUFFORCE, SO_RCVBUFFORCE]) trySocketOption(fd, SOL_SOCKET, option, BUFFER_BYTES);
    bindSocket(fd, socketAddress(addressNumber(address), port));
    return fd;
  } catch (error) {
    closeFile(fd);
    throw refused(error, address, port);
  }
}

function takenBy(owner: ReturnType<typeof portOwner>, port: number): { by: string; remedy: string } {
  if (owner === undefined)
    return { by: "another program", remedy: `end it (to see which it is: ss -ulpn sport = ${port})` };
  const { pid, name } = owner;
  if (name !== PROCESS_NAME) return { by: `${name} (process ${pid})`, remedy: "end it" };
  return {
    by: `the data path (process ${pid}) of a flanneld with another --subnet-file, which after a stop goes on for a minute`,
    remedy: `end that flanneld and then this process (kill ${pid})`,
  };
}

function refused(error: unknown, address: string, port: number): unknown {
  if (isErrno(error, "EADDRINUSE")) {
    const { by, remedy } = takenBy(portOwner(port), port);
    return new Error(
      `UDP port ${port} of ${address} is taken by ${by}. To fix: ${remedy}, or set another "Port" in the Backend of the network configuration, the same on all hosts`,
    );
  }
  if (isErrno(error, "EADDRNOTAVAIL"))
    return new Error(
      `this host has no address ${address}. To fix: give it to an interface, or name the interface by --iface`,
    );
  return error;
}

/** Whether a packet that is larger than the path's MTU is refused (EMSGSIZE), or fragmented on its way. */
export function setPathMtuDiscovery(fd: number, mode: "only whole" | "fragment"): void {
  setSocketOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, mode === "fragment" ? IP_PMTUDISC_WANT : IP_PMTUDISC_DO);
}

/** Reports whether the kernel cuts what is sent (Linux 4.18). */
export const canSegment = (fd: number): boolean => trySocketOption(fd, SOL_UDP, UDP_SEGMENT, 0);

/** Has the kernel join datagrams that are received, if it can (Linux 5.0). */
export const enableGro = (fd: number): boolean => trySocketOption(fd, SOL_UDP, UDP_GRO, 1);

/** Opens a socket that sends whole IPv4 packets as the host's own; undefined without the capability NET_RAW. */
export function openRawSocket(): number | undefined {
  try {
    return openSocket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  } catch (error) {
    if (isErrno(error, "EPERM", "EACCES")) return undefined;
    throw error;
  }
}

/** Returns the MTU of the path to an address, as far as the kernel knows it; undefined without a route. */
export function pathMtuTo(address: number, port: number): number | undefined {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    const to = socketAddress(address, port);
    if (ask("connect", fd, to, to.length) < 0) return undefined;
    const mtu = new Int32Array(1);
    const size = new Uint8Array(new Int32Array([4]).buffer);
    const result = ask("getsockopt", fd, IPPROTO_IP, IP_MTU, new Uint8Array(mtu.buffer), size);
    if (result === -Errno.ENOTCONN) return undefined;
    if (result < 0) throw new SystemError("getsockopt", -result, "IP_MTU");
    return mtu[0];
  } finally {
    closeFile(fd);
  }
}

export function socketAddress(address: number, port: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  view.setInt32(4, address);
  return new Uint8Array(view.buffer);
}
