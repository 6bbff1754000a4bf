/** Checksum offloading of a device, as with `ethtool -K <dev> tx on|off`. Uses the older ioctl, which every kernel has. */
import { native } from "#native";
import { AF_INET } from "../netlink/rtnetlink/family.ts";
import { hostIsLittle } from "../netlink/wire.ts";
import { closeFile } from "../sys/file.ts";
import { openSocket, SOCK_DGRAM } from "../sys/socket.ts";
import { call } from "../sys/syscall.ts";
import { IFREQ_SIZE, IFREQ_VALUE, setIfreqName } from "./ifreq.ts";

/** linux/sockios.h, linux/ethtool.h */
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GTXCSUM = 0x16;
const ETHTOOL_STXCSUM = 0x17;
const ETHTOOL_VALUE_SIZE = 8;

/**
 * Reports whether the link, in the process's network namespace, offloads.
 *
 * @throws SystemError ENODEV; EOPNOTSUPP: it has no such setting
 */
export const offloadsTxChecksum = (ifName: string): boolean => ask(ifName, ETHTOOL_GTXCSUM, 0) !== 0;

/** `ethtool -K <ifName> tx off`: the kernel computes checksums before the device gets the packet. @throws SystemError */
export function stopTxChecksumOffload(ifName: string): void {
  ask(ifName, ETHTOOL_STXCSUM, 0);
}

/** `ethtool -K <ifName> tx on` @throws SystemError */
export function startTxChecksumOffload(ifName: string): void {
  ask(ifName, ETHTOOL_STXCSUM, 1);
}

/** Calls the ioctl with struct ifreq, whose pointer is to the struct ethtool_value {cmd, data} behind it. @returns `data` after the call */
function ask(ifName: string, command: number, data: number): number {
  const memory = new Uint8Array(new ArrayBuffer(IFREQ_SIZE + ETHTOOL_VALUE_SIZE)); // the memory of a small array may move
  const view = new DataView(memory.buffer);
  setIfreqName(memory, ifName);
  view.setBigUint64(IFREQ_VALUE, BigInt(native.address(memory) + IFREQ_SIZE), hostIsLittle);
  view.setUint32(IFREQ_SIZE, command, hostIsLittle);
  view.setUint32(IFREQ_SIZE + 4, data, hostIsLittle);
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    call("ioctl", ifName, fd, SIOCETHTOOL, memory);
    return view.getUint32(IFREQ_SIZE + 4, hostIsLittle);
  } finally {
    closeFile(fd);
  }
}
