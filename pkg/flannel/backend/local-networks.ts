/**
 * Finds the networks of this host's own addresses that overlap the cluster network. If a lease overlaps the network of an interface, the
 * interface's network takes precedence: without it the host loses its neighbours, and perhaps the route to the other hosts.
 *
 * A network that contains the whole cluster network is no conflict: the cluster uses a reserved part of it, and its routes are more
 * specific. A subnet that contains an address of this host always is one.
 */

import type { Subnets } from "../../cluster/lease/lease.ts";
import {
  type Address,
  addToAddress,
  compareAddresses,
  contains,
  formatAddress,
  formatPrefix,
  isIPv4,
  networkOf,
  overlaps,
  type Prefix,
} from "../../ip/address.ts";
import { familyNumber } from "../../link/address.ts";
import { findLink } from "../../link/link.ts";
import { type Connection, query, type Request, request } from "../../netlink/connection.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/nlmsg.ts";
import {
  type AddressMessage,
  addressMessage,
  IFA_F_NOPREFIXROUTE,
  RTM_GETADDR,
} from "../../netlink/rtnetlink/address.ts";
import {
  RT_SCOPE_LINK,
  RT_TABLE_MAIN,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTPROT_KERNEL,
  routeMessage,
} from "../../netlink/rtnetlink/route.ts";
import type { LinkName } from "./entry.ts";

export interface LocalAddress {
  link: LinkName;
  address: Address;
  /** The destination of the kernel's route for it; on a point-to-point link the peer's. */
  network: Prefix;
  flags: number;
  /** The metric of the kernel's route. */
  priority: number | undefined;
}

/** The parts of this host that belong to the cluster. */
export interface ClusterSide {
  networks: readonly Prefix[];
  /** Indexes of the backend's devices. */
  devices: readonly number[];
  /** Our lease: addresses in it belong to bridges and other links to containers. */
  own: Subnets | undefined;
  /** The index of the external interface, which leads to no container. */
  external: number;
}

/** Lists the addresses of this host whose networks overlap those of the cluster. */
export function listLocalAddresses(rtnl: Connection, cluster: ClusterSide): LocalAddress[] {
  return rtnl
    .dump(query({ name: "RTM_GETADDR", type: RTM_GETADDR, table: addressMessage, value: {} }))
    .flatMap((message) => {
      const found = localAddress(message, cluster);
      if (found === undefined) return [];
      const link = findLink(rtnl, message.index);
      if (link === undefined || (isInOwnLease(found, cluster) && isForContainers(found, link.kind))) return [];
      return { ...found, link: { index: message.index, name: link.name } };
    });
}

/** @returns undefined: it does not overlap the cluster. The result lacks the link's name, which is not in the message. */
export function localAddress(message: AddressMessage, { networks, devices }: ClusterSide): LocalAddress | undefined {
  const { local, address = local, prefixLength: length, index, flags, longFlags, routePriority } = message;
  if (address === undefined || devices.includes(index)) return undefined;
  const found = {
    link: { index, name: `#${index}` },
    address: local ?? address,
    network: networkOf({ address, length }),
    flags: longFlags ?? flags,
    priority: routePriority,
  };
  const matters = networks.some((one) => contains(one, found.address) || overlaps(one, found.network));
  return matters ? found : undefined;
}

/** Reports whether an address is in our lease; addresses of the external interface do not count. */
export function isInOwnLease({ address, link }: LocalAddress, { own, external }: ClusterSide): boolean {
  const subnet = isIPv4(address) ? own?.ipv4 : own?.ipv6;
  return subnet !== undefined && contains(subnet, address) && link.index !== external;
}

/** Reports whether an address in our lease is that of a bridge or of the host end of a container's link. */
const isForContainers = ({ address, network }: LocalAddress, kind: string): boolean =>
  kind === "bridge" || isFirst(address, network) || network.length === address.length * 8;

/** Reports whether it is the first address of the network: the gateway of its containers, as in FLANNEL_SUBNET. */
export const isFirst = (address: Address, { address: base }: Prefix): boolean =>
  compareAddresses(address, addToAddress(base, 1)) === 0;

/** Returns the part of an address's network that no lease may have. */
export const reservedFor = ({ address, network }: LocalAddress, cluster: Prefix): Prefix =>
  network.length > cluster.length ? network : { address, length: address.length * 8 };

/** Finds the first of the host's addresses that conflicts with the subnet of a lease. */
export const conflictOf = (subnet: Prefix, cluster: Prefix, local: readonly LocalAddress[]): LocalAddress | undefined =>
  local.find((one) => {
    const isSameFamily = one.address.length === subnet.address.length;
    return isSameFamily && (contains(subnet, one.address) || overlaps(subnet, reservedFor(one, cluster)));
  });

/** Reports whether both are the same address; the kernel reports one address more than once. */
export const sameLocal = (one: LocalAddress, other: LocalAddress): boolean =>
  one.link.index === other.link.index &&
  compareAddresses(one.address, other.address) === 0 &&
  one.network.length === other.network.length;

/** Formats an address for messages: `10.244.5.7/24 of eth0`. */
export const showLocal = ({ address, network, link }: LocalAddress): string =>
  `${formatPrefix({ address, length: network.length })} of ${link.name}`;

/** Reports whether the kernel has, or would have, a route to exactly this destination for the address. */
export function leadsTo({ address, network, flags }: LocalAddress, destination: Prefix): boolean {
  if (!isIPv4(address) || (flags & IFA_F_NOPREFIXROUTE) !== 0) return false; // IPv6: the kernel's route has its own metric
  return formatPrefix(network) === formatPrefix(destination);
}

/** Adds the route that the kernel makes for an address: `ip route add <network> dev <link> proto kernel scope link src <address>` */
export const connectedRoute = ({ address, network, link, priority }: LocalAddress): Request =>
  request({
    name: "RTM_NEWROUTE",
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    table: routeMessage,
    value: {
      family: familyNumber(address),
      destinationLength: network.length,
      table: RT_TABLE_MAIN,
      protocol: RTPROT_KERNEL,
      scope: RT_SCOPE_LINK,
      type: RTN_UNICAST,
      destination: network.address,
      outputIndex: link.index,
      preferredSource: address,
      priority,
    },
  });

/** Formats that route for messages. */
export const showConnectedRoute = ({ address, network, link }: LocalAddress): string =>
  `${formatPrefix(network)} dev ${link.name} proto kernel scope link src ${formatAddress(address)}`;
