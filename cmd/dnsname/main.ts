/**
 * dnsname: answers the names of a network's containers at the host's addresses in it, as podman's plugin of that name does with dnsmasq. The resolver of `twill resolver` answers; this plugin
 * writes down what, starts it, and tells the runtime where it is.
 */
import { validate } from "#validate/dnsname";
import { readPairs } from "../../pkg/cni/args.ts";
import { CniError, ErrorCode, failureOf, invalidConf } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Dns, IpConfig, Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import {
  compareAddresses,
  contains,
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../../pkg/ip/address.ts";
import { addressesOf } from "../../pkg/link/address.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import { findLink, openRtnetlink } from "../../pkg/link/link.ts";
import { RT_SCOPE_UNIVERSE } from "../../pkg/netlink/rtnetlink/route.ts";
import { shortContainerId } from "../../pkg/network/container.ts";
import { containerNameOf } from "../../pkg/network/container-name.ts";
import type { SyncAnswer } from "../../pkg/resolver/control.ts";
import {
  collectDnsnameRecords,
  type DnsnameRecord,
  findDnsnameRecord,
  removeDnsnameRecord,
  writeDnsnameRecord,
} from "../../pkg/resolver/dnsname-record.ts";
import { listenKey } from "../../pkg/resolver/served.ts";
import { requestIfListening, resolverPaths, syncResolver } from "../../pkg/resolver/start.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { findStat } from "../../pkg/sys/file.ts";
import { OWN_NAMESPACE } from "../../pkg/sys/namespace.ts";
import { identifyNamespace } from "../../pkg/sys/namespace-identity.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import type { DnsnameConf } from "./netconf.ts";

export const dnsname: Plugin<DnsnameConf> = {
  name: "dnsname",
  about: "answers the names of containers on the gateway address",
  validate,
  add,
  del,
  check,
  gc,
  status() {}, // which address has to be free is known when a container is added
};

function add(attachment: Attachment<DnsnameConf>): Result {
  const result = needPrevResult(attachment, "must be called as chained plugin");
  const addresses = addressesIn(result);
  const gateways = gatewaysOf(result);
  if (gateways.length === 0) {
    const links = hostLinksOf(result).map((name) => JSON.stringify(name));
    writeStderr(
      `dnsname: network "${attachment.network}": no address of ${links.join(" or ")} is the network's, so that no names are answered; To fix: set "isGateway" in the plugin that makes it\n`,
    );
    return result;
  }
  const record = recordOf(attachment, addresses, gateways);
  return withRollback((undo) => {
    undo("remove the names", () => del(attachment));
    writeDnsnameRecord(record);
    refuseUnserved(syncResolver(resolverPaths), record, gateways);
    return { ...result, dns: withServers(result.dns, gateways, record.domain) };
  });
}

/** Returns the container's addresses. @throws CniError 7: it has none */
function addressesIn(result: Result): string[] {
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
const hostLinksOf = ({ interfaces }: Result): string[] =>
  interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => name);

/**
 * Returns the host's addresses in the network: the gateways of the container's addresses, and those whose network has one of these. The interfaces may have others, as a bridge that two
 * networks share. An address that is valid on the link alone is none.
 *
 * @throws CniError 7: the host has no interface in the network
 */
function gatewaysOf(result: Result): Prefix[] {
  const rtnl = openRtnetlink();
  const names = hostLinksOf(result);
  const links = names.flatMap((name) => findLink(rtnl, name) ?? []);
  if (links.length === 0) {
    throw invalidConf(
      names.length === 0
        ? "the result has no interface of the host"
        : `the result has no interface that the host has: there is no ${names.map((name) => JSON.stringify(name)).join(", ")}`,
      'put "dnsname" after a plugin that makes an interface on the host, as bridge does; behind macvlan, ipvlan and host-device the host is not in the network',
    );
  }
  const ips = containerIpsOf(result);
  return links
    .flatMap(({ index }) => addressesOf(rtnl, index))
    .filter(({ scope, prefix }) => scope === RT_SCOPE_UNIVERSE && ips.some((ip) => isGatewayOf(prefix, ip)))
    .map(({ prefix }) => prefix);
}

function isGatewayOf(prefix: Prefix, { address, gateway = "" }: IpConfig): boolean {
  const own = parsePrefix(address)?.address;
  if (own !== undefined && contains(prefix, own)) return true;
  const named = parseAddress(gateway);
  return named !== undefined && compareAddresses(named, prefix.address) === 0;
}

function recordOf(
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
    host: String(findStat(OWN_NAMESPACE)?.inode),
  };
}

/** @throws CniError 999: a gateway's address is not served */
function refuseUnserved({ unserved }: SyncAnswer, { host }: DnsnameRecord, gateways: readonly Prefix[]): void {
  if (unserved === undefined) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: `the resolver on ${resolverPaths.socket} is of an earlier build, which does not know dnsname`,
      remedy: "end its two processes, twill-resolver; the next ADD starts another one",
    });
  }
  const keys = gateways.map(({ address }) => listenKey({ namespace: { inode: host }, address }));
  const failed = unserved.find(({ key }) => keys.includes(key));
  if (failed === undefined) return;
  const { problem, remedy } = failed;
  throw new CniError({ code: ErrorCode.internal, msg: `names cannot be answered: ${problem}`, remedy });
}

/** Puts the servers before those that were there, and the domain behind. */
function withServers(dns: Dns = {}, gateways: readonly Prefix[], domain: string): Dns {
  return {
    ...dns,
    nameservers: [...gateways.map(({ address }) => formatAddress(address)), ...(dns.nameservers ?? [])],
    search: [...(dns.search ?? []), ...(domain === "" ? [] : [domain])],
  };
}

function del(attachment: Attachment<DnsnameConf>): void {
  if (removeDnsnameRecord(attachment)) tellResolver();
}

/** Has the resolver read the records, if it runs. If it does not answer, it sees within seconds that they have changed. */
function tellResolver(): void {
  try {
    requestIfListening(resolverPaths.socket);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    writeStderr(`dnsname: the resolver does not answer: ${failureOf(error).message}\n`);
  }
}

function check(attachment: Attachment<DnsnameConf>): void {
  const result = needPrevResult(attachment);
  const gateways = gatewaysOf(result);
  if (gateways.length === 0) return;
  const record = findDnsnameRecord(attachment);
  const wanted = addressesIn(result).join(", ");
  if (record?.addresses.join(", ") !== wanted) {
    const found = record === undefined ? "no names" : `names of ${record.addresses.join(", ")}`;
    throw checkFailure(`the container has ${found} in the network, must have those of ${wanted}`);
  }
  const answer = requestIfListening(resolverPaths.socket);
  if (answer === undefined) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: "no resolver runs that answers names",
      remedy: "start it: `twill resolver --sync`; /run/twill/resolver.log says why the last one has ended",
    });
  }
  refuseUnserved(answer, record, gateways);
}

function gc({ network, validAttachments }: Gc<DnsnameConf>): void {
  if (collectDnsnameRecords(network, validAttachments)) tellResolver();
}
