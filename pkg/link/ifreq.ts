/** struct ifreq of linux/if.h: the name of a link, and behind it what an ioctl sets or asks for. */
import { IFNAMSIZ } from "../netlink/rtnetlink/link/name.ts";
import { decode, encode } from "../sys/text.ts";

export const IFREQ_SIZE = 40;
/** Where what is behind the name begins. */
export const IFREQ_VALUE = IFNAMSIZ;

/** Writes the name into a request, from its beginning. */
export const setIfreqName = (request: Uint8Array, ifName: string): void =>
  request.set(encode(ifName).subarray(0, IFNAMSIZ - 1));

/** Returns the name in a request, which the kernel may have replaced. */
export const ifreqName = (request: Uint8Array): string => decode(request, 0, request.indexOf(0));
