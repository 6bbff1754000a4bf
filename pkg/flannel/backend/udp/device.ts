/** The TUN device of the data path process, which makes it; here it gets its address and MTU, and is set up. */

import { formatPrefix } from "../../../ip/address.ts";
import { setUp } from "../../../link/link.ts";
import { type Connection, query, type Request, request } from "../../../netlink/connection.ts";
import { only } from "../../../netlink/message.ts";
import { IFF_UP } from "../../../netlink/rtnetlink/link/interface.ts";
import {
  IN6_ADDR_GEN_MODE_NONE,
  linkMessage,
  RTEXT_FILTER_SKIP_STATS,
  RTM_GETLINK,
  RTM_SETLINK,
} from "../../../netlink/rtnetlink/link.ts";
import { addressRequests, type DeviceAddress, prefixOf } from "../device-address.ts";
import type { LinkName } from "../entry.ts";
import { segmentsPerSend } from "./settings.ts";

const summary = only(linkMessage, ["ifName", "mtu", "gsoMaxSegments", "addressFamilies", "extMask"]);

/** Finds the device, by whatever name it has now; undefined: it is gone. */
export function findDevice(rtnl: Connection, index: number): LinkName | undefined {
  const found = read(rtnl, index);
  return found && { index, name: found.ifName ?? "" };
}

export interface DeviceSettings {
  mtu: number;
  /** undefined: there is no lease yet. */
  place: DeviceAddress | undefined;
}

/** Corrects the device. @returns whether something had to be changed. @throws Error the kernel refuses */
export function configureDevice(rtnl: Connection, { index, name }: LinkName, settings: DeviceSettings): boolean {
  const requests = corrections(rtnl, index, settings);
  try {
    rtnl.requestAll(requests);
  } catch (error) {
    const { mtu, place } = settings;
    throw new Error(
      `cannot set "${name}" up with MTU ${mtu}${place === undefined ? "" : ` and ${formatPrefix(prefixOf(place))}`}: ${(error as Error).message}; flanneld tries again, to see what else changes the device: ip monitor link address`,
      { cause: error },
    );
  }
  return requests.length > 0;
}

/** Reports whether it is there by that name, up, and as it should be. */
export const isRight = (rtnl: Connection, { index, name }: LinkName, settings: DeviceSettings): boolean =>
  findDevice(rtnl, index)?.name === name && corrections(rtnl, index, settings).length === 0;

function corrections(rtnl: Connection, index: number, { mtu, place }: DeviceSettings): Request[] {
  const found = read(rtnl, index);
  const gsoMaxSegments = segmentsPerSend(mtu);
  const isRight = found?.mtu === mtu && found.gsoMaxSegments === gsoMaxSegments;
  const isUp = ((found?.flags ?? 0) & IFF_UP) !== 0;
  return [
    ...(isRight ? [] : [setLink({ index, mtu, gsoMaxSegments })]),
    ...(hasIPv6Address(found) ? [setLink({ index, ...noIPv6Address })] : []),
    ...(place === undefined ? [] : addressRequests(rtnl, index, place)),
    ...(place === undefined || isUp ? [] : [setUp(index)]),
  ];
}

/** Without a link-local address the kernel does not ask for IPv6 routers, again and again, which the data path could only drop. */
const noIPv6Address = { addressFamilies: { inet6: { addressGeneration: IN6_ADDR_GEN_MODE_NONE } } };

/** Reports whether the device gets a link-local address. A kernel without IPv6 has no such attribute, and refuses it. */
const hasIPv6Address = (found: ReturnType<typeof read>): boolean =>
  (found?.addressFamilies?.inet6?.addressGeneration ?? IN6_ADDR_GEN_MODE_NONE) !== IN6_ADDR_GEN_MODE_NONE;

interface LinkChange {
  index: number;
  mtu?: number;
  gsoMaxSegments?: number;
  addressFamilies?: typeof noIPv6Address.addressFamilies;
}

/** `ip link set <index> mtu <mtu> gso_max_segs <n>`, `ip link set <index> addrgenmode none` */
const setLink = (value: LinkChange): Request =>
  request({ name: "RTM_SETLINK", type: RTM_SETLINK, table: linkMessage, value });

function read(rtnl: Connection, index: number) {
  const value = { index, extMask: RTEXT_FILTER_SKIP_STATS };
  return rtnl.find(query({ name: "RTM_GETLINK", type: RTM_GETLINK, table: summary, value }));
}
