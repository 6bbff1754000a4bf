/** What is answered of an attachment: the names and addresses of its container, at which addresses of the host. */
import { readPairs } from "../../pkg/cni/args.ts";
import { invalidConf } from "../../pkg/cni/error.ts";
import type { Attachment } from "../../pkg/cni/plugin.ts";
import type { IpConfig, Result } from "../../pkg/cni/result.ts";
import {
  compareAddresses,
  contains,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../../pkg/ip/address.ts";
import { addressesOf } from "../../pkg/link/address.ts";
import { withOwnRtnetlink } from "../../pkg/link/in-namespace.ts";
import { findLink } from "../../pkg/link/link.ts";
import { RT_SCOPE_UNIVERSE } from "../../pkg/netlink/rtnetlink/route.ts";
import { shortContainerId } from "../../pkg/network/container.ts";
import { containerNameOf } from "../../pkg/network/container-name.ts";
import type { DnsnameRecord } from "../../pkg/resolver/dnsname-record.ts";
import { inodeAt } from "../../pkg/sys/file.ts";
import { OWN_NAMESPACE } from "../../pkg/sys/namespace.ts";
import { identifyNamespace } from "../../pkg/sys/namespace-identity.ts";
import type { DnsnameConf } from "./netconf.ts";

/** Returns the container's addresses. @throws CniError 7: it has none */
export function addressesIn(result: Result): string[] {
  const own = containerIpsOf(result);
  if (own.length > 0) return own.map(({ address }) => address);
  throw invalidConf(
    "no ip address was found in the network",
    'put "dnsname" after a plugin that gives the container an address: that plugin needs "ipam"',
  );
}

const containerIpsOf = ({ ips, interfaces }: Result): IpConfig[] =>
  ips.filter((ip) => ip.interface === undefined || interfaces[ip.interface]?.sandbox);

/** Returns the names of the host's interfaces in the network: an entry with a sandbox is the container's, whatever the host has of that name. */
export const hostLinksOf = ({ interfaces }: Result): string[] =>
  interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => name);

/**
 * Returns the host's addresses in the network: the gateways of the container's addresses, and those whose network has one of these. The interfaces may have others, as a bridge that two
 * networks share. An address that is valid on the link alone is none.
 *
 * @throws CniError 7: the host has no interface in the network
 */
export function gatewaysOf(result: Result): Prefix[] {
  const gateways = findGateways(result);
  if (gateways !== undefined) return gateways;
  const names = hostLinksOf(result);
  throw invalidConf(
    names.length === 0
      ? "the result has no interface of the host"
      : `the result has no interface that the host has: there is no ${names.map((name) => JSON.stringify(name)).join(", ")}`,
    'put "dnsname" after a plugin that makes an interface on the host, as bridge does; behind macvlan, ipvlan and host-device the host is not in the network',
  );
}

/** Returns what `gatewaysOf` does; undefined: the host has no interface in the network. */
export function findGateways(result: Result): Prefix[] | undefined {
  const addresses = withOwnRtnetlink((rtnl) => {
    const links = hostLinksOf(result).flatMap((name) => findLink(rtnl, name) ?? []);
    return links.length === 0 ? undefined : links.flatMap(({ index }) => addressesOf(rtnl, index));
  });
  const ips = containerIpsOf(result);
  return addresses
    ?.filter(({ scope, prefix }) => scope === RT_SCOPE_UNIVERSE && ips.some((ip) => isGatewayOf(prefix, ip)))
    .map(({ prefix }) => prefix);
}

function isGatewayOf(prefix: Prefix, { address, gateway = "" }: IpConfig): boolean {
  const own = parsePrefix(address)?.address;
  if (own !== undefined && contains(prefix, own)) return true;
  const named = parseAddress(gateway);
  return named !== undefined && compareAddresses(named, prefix.address) === 0;
}

export function recordOf(
  { network, containerId, ifName, netns = "", args, conf }: Attachment<DnsnameConf>,
  addresses: readonly string[],
  gateways: readonly Prefix[],
): DnsnameRecord {
  const key = { containerId, networkName: network, ifName, netns, result: {} };
  const name = containerNameOf({ ...key, cniArgs: readPairs(args), capabilityArgs: {} });
  const aliases = conf.runtimeConfig?.aliases?.[network] ?? [];
  return {
    network,
    containerId,
    ifName,
    names: [name ?? shortContainerId(containerId), ...aliases],
    domain: conf.domainName ?? "",
    addresses,
    gateways: gateways.map(formatPrefix),
    namespace: identifyNamespace(netns),
    host: hostInode(),
  };
}

/** Returns the inode of the namespace that has the gateways' addresses. */
export const hostInode = (): string => String(inodeAt(OWN_NAMESPACE));
