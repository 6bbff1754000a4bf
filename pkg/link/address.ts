/** Addresses of links, as `ip address` handles them. */
import { compareAddresses, isIPv4, lastAddressOf, type Prefix } from "../ip/address.ts";
import { type Connection, query, type Request, request } from "../netlink/connection.ts";
import { type MessageOf, only } from "../netlink/message.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/nlmsg.ts";
import {
  type AddressMessage,
  addressMessage,
  IFA_F_DADFAILED,
  IFA_F_NODAD,
  IFA_F_PERMANENT,
  IFA_F_TENTATIVE,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from "../netlink/rtnetlink/address.ts";
import { AF_INET, AF_INET6 } from "../netlink/rtnetlink/family.ts";

export interface LinkAddress {
  prefix: Prefix;
  /** IFA_F_TENTATIVE, IFA_F_DADFAILED ... */
  flags: number;
  /** RT_SCOPE_* */
  scope: number;
}

const addressSummary = only(addressMessage, ["local", "address", "longFlags"]);

/** Returns all addresses of a link, in the kernel's order. */
export function addressesOf(rtnl: Connection, index: number): LinkAddress[] {
  const all = rtnl.dump(query({ name: "RTM_GETADDR", type: RTM_GETADDR, table: addressSummary, value: { index } }));
  return all.filter((message) => message.index === index).map(linkAddressOf); // before 4.20 the kernel does not filter
}

/** Returns the addresses of all links, by the link's index, in the kernel's order. */
export function listAddresses(rtnl: Connection): ReadonlyMap<number, readonly LinkAddress[]> {
  const all = rtnl.dump(query({ name: "RTM_GETADDR", type: RTM_GETADDR, table: addressSummary, value: {} }));
  const byLink = new Map<number, LinkAddress[]>();
  for (const message of all) {
    const ofLink = byLink.get(message.index) ?? [];
    byLink.set(message.index, ofLink);
    ofLink.push(linkAddressOf(message));
  }
  return byLink;
}

function linkAddressOf(message: MessageOf<typeof addressSummary>): LinkAddress {
  const { local, address, prefixLength, flags, longFlags, scope } = message;
  return {
    prefix: { address: local ?? address ?? new Uint8Array(4), length: prefixLength },
    flags: longFlags ?? flags,
    scope,
  };
}

/**
 * `ip address add <prefix> dev <index>`
 *
 * @param options.withoutDetection Skips duplicate address detection, so that an IPv6 address is usable at once instead of after a second.
 */
export function addAddress(
  index: number,
  { address, length }: Prefix,
  { withoutDetection = false }: { withoutDetection?: boolean } = {},
): Request {
  return request({
    name: "RTM_NEWADDR",
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    table: addressMessage,
    value: {
      family: familyNumber(address),
      prefixLength: length,
      flags: withoutDetection && !isIPv4(address) ? IFA_F_NODAD : 0,
      index,
      local: address,
      address,
      ...broadcastOf({ address, length }),
    },
  });
}

/** Returns the broadcast address as the reference plugins and `ip` set it: the last address of IPv4 networks up to /30. */
function broadcastOf(prefix: Prefix): { broadcast?: Uint8Array } {
  return isIPv4(prefix.address) && prefix.length <= 30 ? { broadcast: lastAddressOf(prefix) } : {};
}

/** Returns the messages of `ip -6 address show dev <index>` as the kernel sent them. */
export function listIPv6Addresses(rtnl: Connection, index: number): AddressMessage[] {
  const value = { family: AF_INET6, index };
  const all = rtnl.dump(query({ name: "RTM_GETADDR", type: RTM_GETADDR, table: addressMessage, value }));
  return all.filter((message) => message.index === index); // before 4.20 the kernel does not filter
}

/** `ip address add …` for an address that was listed before, with its flags and the rest of its lifetime. */
export function addListedAddress({ unknown: _, flags, longFlags, ...address }: AddressMessage): Request {
  const settings = (longFlags ?? flags) & ~(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_PERMANENT);
  return request({
    name: "RTM_NEWADDR",
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    table: addressMessage,
    value: { ...address, flags: settings & 0xff, longFlags: settings },
  });
}

/** `ip address del <prefix> dev <index>` */
export function deleteAddress(index: number, { address, length }: Prefix): Request {
  return request({
    name: "RTM_DELADDR",
    type: RTM_DELADDR,
    table: addressMessage,
    value: { family: familyNumber(address), prefixLength: length, index, local: address, address },
  });
}

export const familyNumber = (address: Uint8Array): number => (isIPv4(address) ? AF_INET : AF_INET6);

export const samePrefix = (one: Prefix, other: Prefix): boolean =>
  one.length === other.length && compareAddresses(one.address, other.address) === 0;
