/**
 * The networks that this host itself is in: what the cluster's subnets must not take from it. Where a lease and the network of an interface
 * overlap, the interface's network goes first: without it the host loses its neighbours, and maybe the way to the others.
 *
 * A network that contains the cluster's whole network is no obstacle: the cluster has a part of it that was set aside, and its routes are the more
 * specific ones. What this host's own addresses are in is one always.
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
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/frame.ts";
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
  /** What the kernel leads there for it; of a point-to-point link the other end's. */
  network: Prefix;
  flags: number;
  /** Metric of the kernel's route. */
  priority: number | undefined;
}

/** What of this host belongs to the cluster's network. */
export interface ClusterSide {
  networks: readonly Prefix[];
  /** Indexes of the backend's devices. */
  devices: readonly number[];
  /** Our lease: its addresses are those of bridges and of other links to containers. */
  own: Subnets | undefined;
  /** Index of the interface to the other hosts, which leads to no container. */
  external: number;
}

/** Those that overlap the cluster's networks. */
export function listLocalAddresses(route: Connection, cluster: ClusterSide): LocalAddress[] {
  return route
    .dump(query({ name: "RTM_GETADDR", type: RTM_GETADDR, table: addressMessage, value: {} }))
    .flatMap((message) => {
      const found = localAddress(message, cluster);
      if (found === undefined) return [];
      const link = findLink(route, message.index);
      if (link === undefined || (isInOwnLease(found, cluster) && isForContainers(found, link.kind))) return [];
      return { ...found, link: { index: message.index, name: link.name } };
    });
}

/** @returns undefined: it does not matter to the cluster. The link's name is not in the message. */
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

/** Of the interface to the other hosts none counts as such. */
export function isInOwnLease({ address, link }: LocalAddress, { own, external }: ClusterSide): boolean {
  const subnet = isIPv4(address) ? own?.ipv4 : own?.ipv6;
  return subnet !== undefined && contains(subnet, address) && link.index !== external;
}

/** Whether an address of our lease is that of a bridge or of the host's end of a container's link. */
const isForContainers = ({ address, network }: LocalAddress, kind: string): boolean =>
  kind === "bridge" || isFirst(address, network) || network.length === address.length * 8;

/** The first address of a network is the gateway of its containers, as FLANNEL_SUBNET has it. */
export const isFirst = (address: Address, { address: base }: Prefix): boolean =>
  compareAddresses(address, addToAddress(base, 1)) === 0;

/** What of an address no lease may have. */
export const reservedFor = ({ address, network }: LocalAddress, cluster: Prefix): Prefix =>
  network.length > cluster.length ? network : { address, length: address.length * 8 };

/** The first that the subnet of a lease would take away from the host. */
export const conflictOf = (subnet: Prefix, cluster: Prefix, local: readonly LocalAddress[]): LocalAddress | undefined =>
  local.find((one) => {
    const isSameFamily = one.address.length === subnet.address.length;
    return isSameFamily && (contains(subnet, one.address) || overlaps(subnet, reservedFor(one, cluster)));
  });

/** As the kernel tells them; it tells of one address more than once. */
export const sameLocal = (one: LocalAddress, other: LocalAddress): boolean =>
  one.link.index === other.link.index &&
  compareAddresses(one.address, other.address) === 0 &&
  one.network.length === other.network.length;

/** For messages: `10.244.5.7/24 of eth0`. */
export const showLocal = ({ address, network, link }: LocalAddress): string =>
  `${formatPrefix({ address, length: network.length })} of ${link.name}`;

/** Whether the kernel has, or would have, a route to that very network for this address. */
export function leadsTo({ address, network, flags }: LocalAddress, destination: Prefix): boolean {
  if (!isIPv4(address) || (flags & IFA_F_NOPREFIXROUTE) !== 0) return false; // IPv6: the kernel's has a metric of its own, nothing replaces it
  return formatPrefix(network) === formatPrefix(destination);
}

/** The route that the kernel makes for the address: `ip route add <network> dev <link> proto kernel scope link src <address>` */
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

/** For messages. */
export const showConnectedRoute = ({ address, network, link }: LocalAddress): string =>
  `${formatPrefix(network)} dev ${link.name} proto kernel scope link src ${formatAddress(address)}`;
