/** The host as gateway: its address on the bridge, and the routes through it. */

import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { IpConfig, Result, Route } from "../../pkg/cni/result.ts";
import {
  addToAddress,
  formatAddress,
  formatPrefix,
  isIPv4,
  networkOf,
  overlaps,
  type Prefix,
  parsePrefix,
} from "../../pkg/ip/address.ts";
import { familyOf } from "../../pkg/ip/family.ts";
import { addAddress, addressesOf, deleteAddress, samePrefix } from "../../pkg/link/address.ts";
import { addressOf } from "../../pkg/link/configure.ts";
import { enableIPv6 } from "../../pkg/link/ipv6.ts";
import { type Link, setMac } from "../../pkg/link/link.ts";
import { parseMac } from "../../pkg/link/mac.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { RT_SCOPE_LINK } from "../../pkg/netlink/rtnetlink/route.ts";
import { isErrno } from "../../pkg/sys/errno.ts";

/** Adds the missing gateways: an address without one gets its network's first address. */
export function withGateways(ips: readonly IpConfig[]): IpConfig[] {
  return ips.map((ip) => (ip.gateway === undefined ? { ...ip, gateway: firstAddress(ip) } : ip));
}

function firstAddress(ip: IpConfig): string {
  return formatAddress(addToAddress(networkOf(addressOf(ip).prefix).address, 1));
}

/** Returns the routes, and for each family without a route through a gateway, a default route through its first gateway. */
export function withDefaultRoutes({ ips, routes }: Pick<Result, "ips" | "routes">): Route[] {
  const all = [...routes];
  for (const ip of ips) {
    const { prefix, gateway } = addressOf(ip);
    const dst = isIPv4(prefix.address) ? "0.0.0.0/0" : "::/0";
    const present = all.some((route) => route.gw !== undefined && isDefault(route, dst));
    if (gateway !== undefined && !present) all.push({ dst, gw: formatAddress(gateway) });
  }
  return all;
}

function isDefault({ dst }: Route, wanted: string): boolean {
  const destination = parsePrefix(dst);
  return destination !== undefined && formatPrefix(networkOf(destination)) === wanted;
}

/** Returns the addresses that the gateway's interface must have: one for each address of the result that has a gateway. */
export function gatewayPrefixes(ips: readonly IpConfig[]): Prefix[] {
  return ips.flatMap((ip) => {
    const { prefix, gateway } = addressOf(ip);
    return gateway === undefined ? [] : [{ address: gateway, length: prefix.length }];
  });
}

export interface Replacement {
  /** All addresses that this network needs on the link: none of them is replaced by another. */
  ours: readonly Prefix[];
  /** Replace a conflicting address even if it is in use. */
  force: boolean;
  /** Detect whether another host has an IPv6 gateway's address before it is used, which takes a second. */
  duplicateAddressDetection: boolean;
  /** Counts the other ports of the bridge, which may use its address. Called only when there is a conflicting address. */
  countUsers: () => number;
}

/**
 * Makes sure that the link has the address. Its other addresses conflict if they are IPv4, or IPv6 and overlap: they are replaced
 * when no other port uses them or `force` is set.
 *
 * @throws CniError 999: there is a conflicting address
 */
export function ensureAddress(host: Connection, link: Link, wanted: Prefix, replacement: Replacement): void {
  const { ours, force, countUsers } = replacement;
  const family = addressesOf(host, link.index).filter(
    ({ prefix, scope }) => familyOf(prefix.address) === familyOf(wanted.address) && scope !== RT_SCOPE_LINK,
  );
  if (family.some(({ prefix }) => samePrefix(prefix, wanted))) return;
  const conflicts = family
    .map(({ prefix }) => prefix)
    .filter((prefix) => isIPv4(wanted.address) || overlaps(prefix, wanted));
  const [conflict] = conflicts;
  if (conflict !== undefined && !force) {
    const ownGateway = conflicts.find((prefix) => ours.some((other) => samePrefix(other, prefix)));
    if (ownGateway !== undefined) throw inTheWay(link, wanted, conflicting(ownGateway));
    const users = countUsers();
    if (users > 0) throw inTheWay(link, wanted, used(link, conflict, users));
  }
  host.requestAll(conflicts.map((prefix) => deleteAddress(link.index, prefix)));
  addOnce(host, link, wanted, replacement);
  pinMac(host, link);
}

/**
 * Pins the MAC that the link had before this container joined: an unpinned bridge takes the lowest MAC of its ports and changes it
 * with them, while containers still send to the old one. An error (a bridge that never had a MAC) does not matter to the container.
 */
function pinMac(host: Connection, link: Link): void {
  const mac = parseMac(link.mac);
  if (mac !== undefined) host.attemptAll([setMac(link.index, mac)]);
}

function addOnce(
  host: Connection,
  link: Link,
  wanted: Prefix,
  { duplicateAddressDetection }: Pick<Replacement, "duplicateAddressDetection">,
): void {
  enableIPv6(link, [wanted]);
  const withoutDetection = !duplicateAddressDetection;
  const [refusal] = host.attemptAll([addAddress(link.index, wanted, { withoutDetection })]);
  if (refusal === undefined || isErrno(refusal, "EEXIST")) return; // EEXIST: an ADD that ran at the same time added it
  throw new CniError({
    code: ErrorCode.internal,
    msg: `the kernel refuses the gateway's address ${formatPrefix(wanted)} on "${link.name}"`,
    details: refusal.message,
    remedy: `check "gateway" of the network, and the link: ip address show dev ${link.name}`,
    cause: refusal,
  });
}

function inTheWay(link: Link, wanted: Prefix, { details, remedy }: { details: string; remedy: string }): CniError {
  return new CniError({
    code: ErrorCode.internal,
    msg: `"${link.name}" already has an IP address different from ${formatPrefix(wanted)}`,
    details,
    remedy,
  });
}

const conflicting = (found: Prefix) => ({
  details: `it has ${formatPrefix(found)}, which is a gateway of this network too`,
  remedy: `give the network one range of each family, or remove "isGateway" and set the bridge's addresses yourself`,
});

const used = ({ name }: Link, found: Prefix, users: number) => ({
  details: `it has ${formatPrefix(found)}, which containers at ${users} other port(s) may use`,
  remedy: `set "forceAddress": true to replace it, give this network a bridge of its own, or run: ip address del ${formatPrefix(found)} dev ${name}`,
});
