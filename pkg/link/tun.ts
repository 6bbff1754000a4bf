/** The device file of TUN and tap devices, which exist for as long as a descriptor of it is open, unless they are made persistent. */
import { isErrno } from "../sys/errno.ts";
import { ask, call } from "../sys/syscall.ts";
import { IFREQ_SIZE, IFREQ_VALUE, ifreqName, setIfreqName } from "./ifreq.ts";

export const TUN_DEVICE = "/dev/net/tun";

/** linux/if_tun.h */
const TUNSETIFF = 0x400454ca;
const TUNGETIFF = 0x800454d2;
export const IFF_TUN = 0x0001;
export const IFF_TAP = 0x0002;
export const IFF_MULTI_QUEUE = 0x0100;
export const IFF_NO_PI = 0x1000;
export const IFF_VNET_HDR = 0x4000;
export const IFF_TUN_EXCL = 0x8000;

/** Makes a device of the opened file, or takes the one that has the name. @returns its name @throws SystemError */
export function setTunInterface(fd: number, ifName: string, flags: number): string {
  const request = tunRequest(ifName, flags);
  call("ioctl", `TUNSETIFF ${ifName}`, fd, TUNSETIFF, request);
  return ifreqName(request);
}

/** As `setTunInterface`. @returns undefined: the kernel refuses it */
export function trySetTunInterface(fd: number, ifName: string, flags: number): string | undefined {
  const request = tunRequest(ifName, flags);
  return ask("ioctl", fd, TUNSETIFF, request) === 0 ? ifreqName(request) : undefined;
}

/** Returns the name and IFF_* of the device that the descriptor is of. @throws SystemError */
export function tunInterface(fd: number): { name: string; flags: number } {
  const request = new Uint8Array(IFREQ_SIZE);
  call("ioctl", "TUNGETIFF", fd, TUNGETIFF, request);
  return { name: ifreqName(request), flags: new DataView(request.buffer).getUint16(IFREQ_VALUE, true) };
}

function tunRequest(ifName: string, flags: number): Uint8Array {
  const request = new Uint8Array(IFREQ_SIZE);
  setIfreqName(request, ifName);
  new DataView(request.buffer).setUint16(IFREQ_VALUE, flags, true);
  return request;
}

/** Reports whether opening the file failed because the kernel or the container has no such devices. */
export const hasNoTun = (error: unknown): boolean => isErrno(error, "ENOENT", "ENODEV", "ENXIO");
