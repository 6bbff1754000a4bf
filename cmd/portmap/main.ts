/** portmap: makes ports of the container reachable through ports of the host. */

import { validate } from "#validate/portmap";
import type { Attachment, Gc, HostConnections, Plugin, Request, RestoreOptions } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { warnOfStatus } from "../../pkg/cni/status.ts";
import { findObstacle } from "../../pkg/firewall/availability.ts";
import type { RuleBackend } from "../../pkg/firewall/backend.ts";
import { FAMILIES, type Family, familyOf } from "../../pkg/firewall/family.ts";
import { deleteFlows, type FlowsTo, keepsFlows } from "../../pkg/firewall/portmap/conntrack.ts";
import { needsProgram } from "../../pkg/firewall/portmap/iptables.ts";
import type { Removed } from "../../pkg/firewall/portmap/port-conflict.ts";
import { type MappingSet, mappingsFor } from "../../pkg/firewall/portmap/port-mapping.ts";
import {
  addPortMappings,
  deletePortMappings,
  deviationOf,
  gcPortMappings,
  portmapBackend,
  restorePortMappings,
} from "../../pkg/firewall/portmap/portmap.ts";
import { type Address, isIPv4, type Prefix, parsePrefix } from "../../pkg/ip/address.ts";
import { lostRule } from "../../pkg/link/check.ts";
import { hostRtnetlink, openRtnetlink } from "../../pkg/link/link.ts";
import { findLinkName } from "../../pkg/link/link-name.ts";
import { lookupRoute } from "../../pkg/link/route.ts";
import { findSysctl, writeSysctl } from "../../pkg/link/sysctl.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../../pkg/netlink/connection.ts";
import { RTN_LOCAL } from "../../pkg/netlink/rtnetlink/route.ts";
import { lazy } from "../../pkg/sys/lazy.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import {
  asksForNothing,
  type PortmapConf,
  type PortmapSettings,
  parseSettings,
  refuseOtherLanguage,
} from "./netconf.ts";

export const portmap: Plugin<PortmapConf> = {
  name: "portmap",
  about: "maps ports of the host to ports of the container",
  validate,
  add,
  del,
  check,
  gc,
  status,
  restore,
};

function add(attachment: Attachment<PortmapConf>): Result {
  const { conf } = attachment;
  const settings = parseSettings(conf);
  const prevResult = needPrevResult(attachment, "must be called as chained plugin");
  if (settings.mappings.length === 0) {
    if (conf.backend !== undefined) refuseOtherLanguage(conf.backend as RuleBackend, conf);
    return prevResult;
  }

  const netfilter = openNetfilter();
  const backend = backendFor(attachment, settings, netfilter);
  const mappingSets = mappingSetsOf(attachment, settings, prevResult);
  return withRollback((undo) => {
    undo("delete the host ports", () => deletePortMappings(attachment, addressesIn(attachment), { legacy: true }));
    addPortMappings(netfilter, backend, mappingSets);
    forget(mappingSets.flatMap(flowsTo));
    forget(
      mappingSets.flatMap(({ family, ...one }) => mappingsFor({ family, ...one }).map((port) => ({ ...port, family }))),
    );
    if (settings.snat)
      for (const { container } of mappingSets) if (isIPv4(container.address)) routeLocalnet(container.address);
    return prevResult;
  });
}

/** Returns a function that opens the netfilter socket at its first call. */
const openNetfilter = (): (() => Connection) => lazy(() => connect(NETLINK_NETFILTER));

function backendFor(
  { conf }: Pick<Attachment<PortmapConf>, "conf">,
  settings: PortmapSettings,
  netfilter: () => Connection,
): RuleBackend {
  const backend = portmapBackend(settings.backend, netfilter);
  refuseOtherLanguage(backend, conf);
  return backend;
}

/** Returns a mapping set for each family in which the container has an address. */
function mappingSetsOf(
  { network, containerId, ifName }: Attachment<PortmapConf>,
  settings: PortmapSettings,
  result: Result,
): MappingSet[] {
  const { conditions, ...rest } = settings;
  return FAMILIES.flatMap((family): MappingSet[] => {
    const container = containerAddress(result, ifName, family);
    if (container === undefined) return [];
    return [{ ...rest, owner: { network, containerId, ifName }, family, container, conditions: conditions[family] }];
  });
}

/** Returns the first address of the family that, according to the result, does not belong to another interface. */
function containerAddress({ ips, interfaces }: Result, ifName: string, family: Family): Prefix | undefined {
  for (const { address, interface: index } of ips) {
    const entry = index === undefined ? undefined : interfaces[index];
    if (entry !== undefined && (entry.name !== ifName || !entry.sandbox)) continue;
    const prefix = parsePrefix(address);
    if (prefix !== undefined && familyOf(prefix.address) === family) return prefix;
  }
  return undefined;
}

/** Returns the addresses that `mappingSetsOf` uses, if there is a result. */
function addressesIn({ prevResult, ifName }: Attachment<PortmapConf>): Prefix[] {
  if (prevResult === undefined) return [];
  return FAMILIES.flatMap((family) => containerAddress(prevResult, ifName, family) ?? []);
}

/** Enables route_localnet on the interface to the container: otherwise the kernel drops packets from 127.0.0.1 there as martians. */
function routeLocalnet(container: Address): void {
  const rtnl = openRtnetlink();
  const index = lookupRoute(rtnl, container)?.outputIndex;
  const ifName = index === undefined ? undefined : findLinkName(rtnl, index);
  if (ifName === undefined) return; // no route
  const name = `ipv4/conf/${ifName}/route_localnet`;
  if (findSysctl(name) !== "1") writeSysctl(name, "1");
}

const flowsTo = (mappingSet: MappingSet): FlowsTo[] =>
  mappingsFor(mappingSet)
    .filter(keepsFlows)
    .map((port) => ({ ...port, family: mappingSet.family }));

/** Deletes conntrack entries, so that packets of old flows use the port's new rules. A failure affects old connections only. */
function forget(targets: readonly FlowsTo[], host?: HostConnections): void {
  try {
    const rtnl = lazy(() => hostRtnetlink({ host }));
    deleteFlows(targets, (address) => lookupRoute(rtnl(), address)?.type === RTN_LOCAL, host?.netfilter);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    writeStderr(`portmap: existing connections may continue to the previous target: ${error.message}\n`);
  }
}

/** Restores the rules that ADD made, according to its result. @param options.dryRun Leaves out rules that only programs can make. */
function restore(attachment: Attachment<PortmapConf>, netfilter: () => Connection, { dryRun }: RestoreOptions): void {
  const settings = parseSettings(attachment.conf);
  const mappingSets = mappingSetsOf(attachment, settings, needPrevResult(attachment));
  if (dryRun && mappingSets.some(needsProgram)) return;
  if (settings.mappings.length > 0)
    restorePortMappings(netfilter, backendFor(attachment, settings, netfilter), mappingSets);
}

/** Deletes by owner: mappings are found even if the configuration does not have them any more. */
function del(attachment: Attachment<PortmapConf>): void {
  const forms = {
    legacy: !asksForNothing(attachment.conf),
    forget: (removed: readonly Removed[]) =>
      forget(
        removed
          .map(({ address, ...port }) => ({ ...port, container: address }))
          .filter(({ container }) => container !== undefined),
        attachment.host,
      ),
  };
  deletePortMappings(attachment, addressesIn(attachment), forms, attachment.host?.netfilter());
}

function check(attachment: Attachment<PortmapConf>): void {
  const result = needPrevResult(attachment);
  const settings = parseSettings(attachment.conf);
  if (settings.mappings.length === 0) return;
  const netfilter = openNetfilter();
  const backend = backendFor(attachment, settings, netfilter);
  const found = deviationOf(netfilter, backend, mappingSetsOf(attachment, settings, result));
  if (found !== undefined) throw lostRule(found);
}

function gc({ network, validAttachments, host }: Gc<PortmapConf>): void {
  gcPortMappings(network, validAttachments, host?.netfilter());
}

/** Warns only: containers without published ports need no backend. */
function status({ conf, network }: Request<PortmapConf>): void {
  const settings = parseSettings(conf);
  const backend = (netfilter: () => Connection) => backendFor({ conf }, settings, netfilter);
  const obstacle = findObstacle({ backend, purpose: "publishing ports" });
  if (obstacle !== undefined) warnOfStatus("portmap", network, obstacle.message);
}
