/** The address of a backend's device: the first address of our subnet, and no other one of the cluster network, as in flannel. */

import type { Address } from "../../ip/address.ts";
import { contains, isIPv4, type Prefix } from "../../ip/address.ts";
import { addAddress, addressesOf, deleteAddress, samePrefix } from "../../link/address.ts";
import type { Connection, Request } from "../../netlink/connection.ts";
import { isLinkLocal } from "./interface/address.ts";

/** The address that the device should have. */
export interface DeviceAddress {
  /** The first address of our subnet. */
  address: Address;
  /** Other addresses in this network are leftovers. IPv6: all others but link-local ones are. */
  network: Prefix;
}

/** Returns the requests that give the device its address and remove leftovers; none if it is right. */
export function addressRequests(rtnl: Connection, index: number, place: DeviceAddress): Request[] {
  const wanted = prefixOf(place);
  const present = addressesOf(rtnl, index).map(({ prefix }) => prefix);
  const leftovers = present.filter((prefix) => !samePrefix(prefix, wanted) && isLeftover(prefix, place));
  return [
    ...(present.some((prefix) => samePrefix(prefix, wanted))
      ? []
      : [addAddress(index, wanted, { withoutDetection: true })]),
    ...leftovers.map((prefix) => deleteAddress(index, prefix)),
  ];
}

/** Returns the address with the length of a single one, as the device has it. */
export const prefixOf = ({ address }: DeviceAddress): Prefix => ({ address, length: address.length * 8 });

function isLeftover({ address }: Prefix, { address: own, network }: DeviceAddress): boolean {
  if (isIPv4(address) !== isIPv4(own)) return false;
  return isIPv4(address) ? contains(network, address) : !isLinkLocal(address);
}
