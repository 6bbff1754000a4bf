/** Asks for one IPv4 address of a link by ioctl, which takes a tenth of the time of a dump of all. */
import { compareAddresses, netmask, type Prefix } from "../ip/address.ts";
import { AF_INET } from "../netlink/rtnetlink/family.ts";
import { hostIsLittle } from "../netlink/wire.ts";
import { closeFile } from "../sys/file.ts";
import { openSocket, SOCK_DGRAM } from "../sys/socket.ts";
import { ask } from "../sys/syscall.ts";
import { IFREQ_SIZE, IFREQ_VALUE, setIfreqName } from "./ifreq.ts";

/** linux/sockios.h */
const SIOCGIFADDR = 0x8915;
const SIOCGIFNETMASK = 0x891b;
/** Where struct sockaddr_in, of linux/in.h, has the address. */
const ADDRESS = IFREQ_VALUE + 4;
const ADDRESS_SIZE = 4;

/**
 * Reports whether a link of the process's network namespace has the address with that prefix length. False also where the kernel does not
 * tell, as of an address with a label of its own: a dump has those.
 */
export function hasIPv4Address(ifName: string, { address, length }: Prefix): boolean {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    const found = askAbout(fd, SIOCGIFADDR, ifName, address);
    if (found === undefined || compareAddresses(found, address) !== 0) return false;
    const mask = askAbout(fd, SIOCGIFNETMASK, ifName, address);
    return mask !== undefined && compareAddresses(mask, netmask(ADDRESS_SIZE, length)) === 0;
  } finally {
    closeFile(fd);
  }
}

/** Asks about the address if the link has it, else about the link's first one. @returns undefined when the kernel refuses */
function askAbout(fd: number, command: number, ifName: string, address: Uint8Array): Uint8Array | undefined {
  const request = new Uint8Array(IFREQ_SIZE);
  setIfreqName(request, ifName);
  new DataView(request.buffer).setUint16(IFREQ_VALUE, AF_INET, hostIsLittle);
  request.set(address, ADDRESS);
  return ask("ioctl", fd, command, request) < 0 ? undefined : request.subarray(ADDRESS, ADDRESS + ADDRESS_SIZE);
}
