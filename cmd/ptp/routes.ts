/**
 * Routes between container and host: the container reaches everything, even its own subnet, through the gateway, which is the host
 * end of the veth pair; the host reaches one address of the subnet through each veth pair.
 *
 * So the subnet is on no link: each host end has only the gateway's address, without the subnet's prefix.
 */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { IpConfig } from "../../pkg/cni/result.ts";
import { type Address, formatAddress, formatPrefix, networkOf, type Prefix } from "../../pkg/ip/address.ts";
import { addressesOf, samePrefix } from "../../pkg/link/address.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import { addressOf, addressTask, type ConfigTask } from "../../pkg/link/configure.ts";
import type { Link } from "../../pkg/link/link.ts";
import { addRoute, deleteRoute, destinationOf, listRoutes } from "../../pkg/link/route.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { AF_UNSPEC } from "../../pkg/netlink/rtnetlink/family.ts";
import { RT_SCOPE_HOST, RT_SCOPE_LINK } from "../../pkg/netlink/rtnetlink/route.ts";

/** An address of the container and its gateway. */
export interface GatewayAddress {
  prefix: Prefix;
  gateway: Address;
}

/** Returns the container's addresses with their gateways. @throws CniError 999: an address has no gateway */
export function gatewayAddresses(ips: readonly IpConfig[]): GatewayAddress[] {
  return ips.map((ip) => {
    const { prefix, gateway } = addressOf(ip);
    if (gateway !== undefined) return { prefix, gateway };
    throw new CniError({
      code: ErrorCode.internal,
      msg: `address ${ip.address} of the IPAM plugin has no gateway, which is the address of the host's end`,
      remedy: `add a "gateway" to the address in "ipam": any unused address, usually the first one of the subnet`,
    });
  });
}

/** Runs `ip route add <gateway> dev <index> scope link src <address>`. */
export function routesToGateways(index: number, entries: readonly GatewayAddress[]): ConfigTask[] {
  return distinct(entries, ({ gateway }) => formatAddress(gateway)).map(({ prefix, gateway }) =>
    routeTask(index, { destination: alone(gateway), scope: RT_SCOPE_LINK, source: prefix.address }),
  );
}

/**
 * Replaces the kernel's own route to the subnet, over the link, by one through the gateway. An address that is its whole subnet
 * (/32, /128) has no such route.
 */
export function routesToSubnets(index: number, entries: readonly GatewayAddress[]): ConfigTask[] {
  const subnets = distinct(entries, ({ prefix }) => formatPrefix(networkOf(prefix)));
  return subnets
    .filter(({ prefix: { address, length } }) => length < 8 * address.length)
    .flatMap(({ prefix, gateway }) => [
      {
        what: `deleting route ${formatPrefix(networkOf(prefix))}`,
        request: deleteRoute(index, { destination: prefix }),
      },
      routeTask(index, { destination: prefix, gateway, source: prefix.address }),
    ]);
}

/** Returns the tasks for the host end: the gateways' addresses, and a route to each of the container's. */
export function hostEndTasks(index: number, entries: readonly GatewayAddress[]): ConfigTask[] {
  const gateways = distinct(entries, ({ gateway }) => formatAddress(gateway));
  return [
    ...gateways.map(({ gateway }) => addressTask(index, alone(gateway), { withoutDetection: true })),
    ...entries.map(({ prefix: { address } }) => ({
      ...routeTask(index, { destination: alone(address), scope: RT_SCOPE_HOST }),
      whenExists: {
        msg: `the host already has a route to ${formatAddress(address)} over another link`,
        remedy: `find out which attachment it belongs to (ip route show ${formatAddress(address)}; the link's alias names its container), and delete that attachment or choose another address`,
      },
    })),
  ];
}

/** Checks the host end. @throws CniError 999: it is not as `hostEndTasks` made it */
export function checkHostEnd(host: Connection, end: Link, entries: readonly GatewayAddress[]): void {
  if (!end.up) throw checkFailure(`"${end.name}", the host's end, is down, must be up`); // a link that is down has no routes
  const addresses = addressesOf(host, end.index).map(({ prefix }) => prefix);
  const routes = listRoutes(host, AF_UNSPEC).filter(({ outputIndex }) => outputIndex === end.index);
  for (const { prefix, gateway } of entries) {
    if (!addresses.some((one) => samePrefix(one, alone(gateway))))
      throw checkFailure(`gateway ${formatAddress(gateway)} is not on "${end.name}"`);
    if (!routes.some((route) => samePrefix(destinationOf(route), alone(prefix.address))))
      throw checkFailure(`the host has no route to ${formatAddress(prefix.address)} over "${end.name}"`);
  }
}

const alone = (address: Address): Prefix => ({ address, length: 8 * address.length });

function routeTask(index: number, route: Parameters<typeof addRoute>[1]): ConfigTask {
  const { destination, gateway } = route;
  const via = gateway === undefined ? "" : ` via ${formatAddress(gateway)}`;
  const to = formatPrefix(networkOf(destination));
  return {
    what: `route ${to}${via}`,
    request: addRoute(index, route, { exclusive: true }),
    whenExists: {
      msg: `the container already has a route to ${to} over another interface`,
      remedy: `give this network a subnet of its own, or delete the attachment whose interface has the route (in the container: ip route show ${to})`,
    },
  };
}

function distinct(entries: readonly GatewayAddress[], key: (way: GatewayAddress) => string): GatewayAddress[] {
  return [...new Map(entries.toReversed().map((way) => [key(way), way])).values()].toReversed();
}
