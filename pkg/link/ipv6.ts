/** What a link needs before it can have IPv6 addresses. */
import { type CniError, invalidConf } from "../cni/error.ts";
import { formatPrefix, type Prefix } from "../ip/address.ts";
import { familyOf, LEAST_MTU } from "../ip/family.ts";
import type { Link } from "./link.ts";
import { findSysctl, writeSysctl } from "./sysctl.ts";

/**
 * Makes a link ready for those of the addresses that are IPv6, if any: hosts and container images may disable IPv6 by default. Works in
 * the network namespace that the process is in.
 *
 * @throws CniError 7: the link's MTU is too small, or the kernel has no IPv6.
 */
export function enableIPv6({ name, mtu }: Pick<Link, "name" | "mtu">, prefixes: readonly Prefix[]): void {
  const prefix = prefixes.find(({ address }) => familyOf(address) === "ipv6");
  if (prefix === undefined) return;
  refuseSmallMtu(name, mtu, prefix);
  const setting = `ipv6/conf/${name}/disable_ipv6`;
  const value = findSysctl(setting);
  if (value === undefined) throw noIPv6(formatPrefix(prefix));
  if (value !== "0") writeSysctl(setting, "0");
}

/** @throws CniError 7: a link of that MTU cannot have the IPv6 address */
export function refuseSmallMtu(name: string, mtu: number, prefix: Prefix): void {
  if (mtu >= LEAST_MTU.ipv6 || familyOf(prefix.address) !== "ipv6") return;
  throw invalidConf(
    `an MTU of ${mtu} ("${name}") is too small for ${formatPrefix(prefix)}: IPv6 needs ${LEAST_MTU.ipv6}`,
    `raise it to ${LEAST_MTU.ipv6} or more: "mtu" of the network, without it the MTU of the master or of "${name}", with flannel FLANNEL_MTU, which follows from that of the host's interface; or remove those of IPv6 in "ipam"`,
  );
}

/** Makes sure, for STATUS, that the kernel has the addresses' families. @throws CniError 7: it has no IPv6 */
export function needFamilies(prefixes: readonly Prefix[]): void {
  const prefix = prefixes.find(({ address }) => familyOf(address) === "ipv6");
  if (prefix !== undefined && findSysctl("ipv6/conf/all/disable_ipv6") === undefined)
    throw noIPv6(formatPrefix(prefix));
}

const noIPv6 = (prefix: string): CniError =>
  invalidConf(
    `this kernel has no IPv6, so that no interface can have ${prefix}`,
    `remove those of IPv6 in "ipam", or start the kernel without ipv6.disable=1 (the module is ipv6)`,
  );
