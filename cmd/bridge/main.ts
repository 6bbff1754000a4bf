/** bridge: connects the container to a Linux bridge by a veth pair. */

import { validate } from "#validate/bridge";
import { readArgs } from "../../pkg/cni/args.ts";
import { runAllSteps } from "../../pkg/cni/best-effort-del.ts";
import * as ipam from "../../pkg/cni/call-ipam.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Interface, Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import {
  addMacSpoofCheck,
  collectMacSpoofChecks,
  removeMacSpoofCheck,
  restoreMacSpoofCheck,
} from "../../pkg/firewall/mac-spoof-check.ts";
import {
  addMasquerade,
  gcMasquerade,
  needMasquerade,
  removeMasquerade,
  restoreMasquerade,
} from "../../pkg/firewall/masquerade/masquerade.ts";
import { isIPv4 } from "../../pkg/ip/address.ts";
import { familyOf } from "../../pkg/ip/family.ts";
import { ensureBridge, needVlanFiltering, setPort } from "../../pkg/link/bridge.ts";
import { checkContainer, checkFailure, needHostsEnd, needSameLink } from "../../pkg/link/check.ts";
import { configure, prefixesOf } from "../../pkg/link/configure.ts";
import { needKinds } from "../../pkg/link/create.ts";
import { hasIPv4Address } from "../../pkg/link/ipv4-address.ts";
import * as links from "../../pkg/link/link.ts";
import { deleteStaleLinks, findOtherOwner, isAnothersOf } from "../../pkg/link/owner.ts";
import { enableForwarding, keepHostOut } from "../../pkg/link/sysctl.ts";
import { createVeth, deleteVeth, type VethPair } from "../../pkg/link/veth.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { IF_OPER_UP } from "../../pkg/netlink/rtnetlink/link.ts";
import { sleepMs } from "../../pkg/sys/clock.ts";
import { findNamespace, openNamespace } from "../../pkg/sys/namespace.ts";
import { ensureAddress, gatewayPrefixes, withDefaultRoutes, withGateways } from "./gateway.ts";
import { type BridgeConf, type BridgeSettings, parseSettings } from "./netconf.ts";
import { ensureVlanGateway, setPortVlans } from "./vlan.ts";

export const bridge: Plugin<BridgeConf> = {
  name: "bridge",
  about: "connects the container to a Linux bridge by a veth pair",
  validate,
  add,
  del,
  check,
  gc,
  status,
  restore,
};

/** Pauses while the host end becomes operational: 2.55 s in all, as in the reference plugin. */
const UP_PAUSES_MS = [0, 1, 2, 4, 8, 15, 20, 50, 450, 1000, 1000];

function add(attachment: Attachment<BridgeConf>): Result {
  const { ifName } = attachment;
  const settings = settingsOf(attachment);
  const netns = openNamespace(attachment.netns ?? "");
  const host = links.openRtnetlink();
  const container = links.openRtnetlink(netns);

  return withRollback((undo) => {
    const bridge = ensureBridge(host, {
      name: settings.bridge,
      mtu: settings.mtu,
      vlanFiltering: filtersVlans(settings),
      promiscuous: settings.promiscuous,
    }); // shared with other containers: never undone
    if (settings.internal) keepHostOut(bridge.name);

    const { mtu, mac } = settings;
    const veth = createVeth(host, { netns, container, ifName, mtu, mac, master: bridge.index, owner: attachment });
    undo("delete the veth pair", () => links.deleteLink(container, ifName));
    setUpPort(host, veth.outside, settings);

    if (settings.macSpoofCheck) {
      const isAnothers = isAnothersOf(attachment);
      undo("remove the MAC spoof check", () => removeMacSpoofCheck(attachment, isAnothers));
      addMacSpoofCheck(attachment, { hostIfName: veth.outside.name, mac: veth.inside.mac }, isAnothers);
    }

    const lease =
      settings.ipam === undefined ? ipam.emptyResult : completed(ipam.add(attachment, CONTAINER, undo), settings);
    if (settings.ipam !== undefined) {
      configure({ netns, rtnl: container, link: veth.inside, sysctls: sysctlsOf(ifName, settings) }, lease);
      if (settings.isGateway) serveGateways(host, bridge, veth.outside, lease, settings);
      if (settings.masquerade !== undefined) {
        undo("remove the masquerade", () => removeMasquerade(attachment, prefixesOf(lease)));
        addMasquerade(attachment, prefixesOf(lease), settings.masquerade.backend);
      }
    } else if (!settings.containerInterfaceDown) {
      container.request(links.setUp(veth.inside.index));
    }

    const ends = settings.containerInterfaceDown ? undefined : waitUntilUp(host, veth.outside, bridge);
    const { port = veth.outside, bridge: bridgeNow = links.needLink(host, bridge.index) } = ends ?? {};
    return resultOf(attachment, settings, lease, { host, bridge: bridgeNow, veth: { ...veth, outside: port } });
  });
}

function settingsOf({ conf, args }: Attachment<BridgeConf>): BridgeSettings {
  return parseSettings(conf, readArgs(args, ["MAC"]).MAC);
}

const filtersVlans = ({ vlan, trunk }: BridgeSettings): boolean => vlan !== 0 || trunk !== undefined;

function setUpPort(host: Connection, port: links.Link, settings: BridgeSettings): void {
  const { hairpin, isolated } = settings;
  if (hairpin || isolated) host.request(setPort(port.index, { hairpin, isolated }));
  setPortVlans(host, port, settings);
}

const CONTAINER = 2; // index of the container's interface in the result

/** Adds gateways and default routes to the IPAM result. */
function completed(
  { ips, ...lease }: ipam.IpamResult,
  { isGateway, isDefaultGateway }: BridgeSettings,
): ipam.IpamResult {
  const whole: ipam.IpamResult = { ...lease, ips: isGateway ? withGateways(ips) : ips };
  return isDefaultGateway ? { ...whole, routes: withDefaultRoutes(whole) } : whole;
}

/** IPAM guarantees unique addresses, so detection of duplicates would only cost time (1-2 s); arp_notify makes the kernel announce them. */
function sysctlsOf(ifName: string, { duplicateAddressDetection }: BridgeSettings): Record<string, string> {
  return {
    ...(duplicateAddressDetection && { [`ipv6/conf/${ifName}/enhanced_dad`]: "1" }),
    [`ipv6/conf/${ifName}/accept_dad`]: duplicateAddressDetection ? "1" : "0",
    [`ipv4/conf/${ifName}/arp_notify`]: "1",
  };
}

/** Sets the gateway's addresses on the bridge, or in its VLAN, and enables forwarding. */
function serveGateways(
  host: Connection,
  bridge: links.Link,
  port: links.Link,
  { ips }: ipam.IpamResult,
  settings: BridgeSettings,
): void {
  const { vlan, forceAddress: force, duplicateAddressDetection } = settings;
  const link = vlan === 0 ? bridge : ensureVlanGateway(host, bridge, vlan);
  const countUsers = () =>
    links.listLinks(host).filter(({ master, index }) => master === bridge.index && index !== port.index).length;
  const prefixes = gatewayPrefixes(ips);
  for (const prefix of prefixes) {
    if (isIPv4(prefix.address) && hasIPv4Address(link.name, prefix)) continue; // the usual case, without a dump
    ensureAddress(host, link, prefix, { ours: prefixes, force, duplicateAddressDetection, countUsers });
  }
  for (const family of new Set(prefixes.map(({ address }) => familyOf(address)))) enableForwarding(family);
}

/** Returns the port once it forwards, and the bridge: the MACs of both may have changed since they were made. */
function waitUntilUp(host: Connection, made: links.Link, bridge: links.Link): { port: links.Link; bridge: links.Link } {
  let port = made;
  for (const pauseMs of UP_PAUSES_MS) {
    if (pauseMs > 0) sleepMs(pauseMs);
    const [found, its] = links.needLinks(host, [made.index, bridge.index]);
    port = found as links.Link;
    if (port.operState === IF_OPER_UP) return { port, bridge: its as links.Link };
  }
  throw new CniError({
    code: ErrorCode.tryAgainLater,
    msg: `"${port.name}", the host's end of the veth pair, is not up`,
    details: `operational state ${port.operState} (IF_OPER_*), wanted ${IF_OPER_UP}`,
    remedy: `see its state (ip -d link show dev ${port.name}), then try again`,
  });
}

interface Made {
  host: Connection;
  bridge: links.Link;
  veth: VethPair;
}

function resultOf(
  attachment: Attachment<BridgeConf>,
  settings: BridgeSettings,
  lease: ipam.IpamResult,
  { host, bridge, veth }: Made,
): Result {
  const gateway =
    settings.vlan !== 0 && settings.isGateway ? links.findLink(host, `${bridge.name}.${settings.vlan}`) : undefined;
  const interfaces: Interface[] = [
    links.entryOf(bridge),
    links.entryOf(veth.outside),
    links.entryOf(veth.inside, attachment.netns),
    ...(gateway === undefined ? [] : [links.entryOf(gateway)]),
  ];
  return { interfaces, ips: lease.ips, routes: lease.routes, dns: ipam.dnsOf(attachment.conf, lease) };
}

/** Restores the rules that ADD made, according to its result. */
function restore(attachment: Attachment<BridgeConf>, netfilter: () => Connection): void {
  const { macSpoofCheck, masquerade: masquerading, bridge } = settingsOf(attachment);
  const result = needPrevResult(attachment);
  const own = result.interfaces.findIndex(({ name, sandbox }) => name === attachment.ifName && sandbox);
  const bridgeName = links.linkNameOf(links.openRtnetlink(), bridge);
  const port = result.interfaces.find(({ name, sandbox }) => !sandbox && name !== bridgeName);
  const mac = result.interfaces[own]?.mac;
  if (macSpoofCheck && port !== undefined && mac !== undefined) {
    restoreMacSpoofCheck(netfilter(), attachment, { hostIfName: port.name, mac }, isAnothersOf(attachment));
  }
  if (masquerading !== undefined) {
    const ips = result.ips.filter((ip) => ip.interface === undefined || ip.interface === own);
    restoreMasquerade(netfilter, attachment, prefixesOf({ ips }), masquerading.backend);
  }
}

function del(attachment: Attachment<BridgeConf>): void {
  const { conf, prevResult } = attachment;
  const leased = prevResult === undefined ? [] : prefixesOf(prevResult);
  ipam.del(
    attachment,
    ["delete the veth pair", () => deleteVeth(attachment)],
    [
      // the kernel's waits for removed rules and for the removed link overlap when the rules go first
      [
        "remove the MAC spoof check",
        () =>
          conf.macspoofchk === true &&
          !isTaken(attachment) &&
          removeMacSpoofCheck(
            attachment,
            isAnothersOf(attachment, attachment.host?.rtnl),
            attachment.host?.netfilter(),
          ),
      ],
      [
        "remove the masquerade",
        () =>
          conf.ipMasq === true &&
          ipam.typeOf(conf) !== undefined &&
          removeMasquerade(attachment, leased, attachment.host?.netfilter()),
      ],
    ],
  );
}

/** Whether another attachment has the interface, and so the MAC spoof check, whose name contains only container and interface. */
function isTaken(attachment: Attachment<BridgeConf>): boolean {
  const netns = findNamespace(attachment.netns);
  return netns !== undefined && findOtherOwner(links.openRtnetlink(netns), attachment) !== undefined;
}

function check(attachment: Attachment<BridgeConf>): void {
  const settings = settingsOf(attachment);
  const { result, link } = checkContainer(attachment, { kind: "veth" });
  const host = links.openRtnetlink();
  checkPort(host, checkBridge(host, result, settings), link, result);
}

function checkBridge(
  host: Connection,
  { interfaces }: Result,
  { bridge: name, promiscuous }: BridgeSettings,
): links.Link {
  const entry = interfaces.find((one) => one.name === links.linkNameOf(host, name) && !one.sandbox);
  if (entry === undefined) throw checkFailure(`prevResult has no bridge "${name}" among its interfaces`);
  const bridge = needSameLink(host, entry, "bridge", "on the host");
  if (promiscuous && !bridge.promiscuous)
    throw checkFailure(`bridge "${name}" is not promiscuous, as "promiscMode" wants it`);
  return bridge;
}

function checkPort(host: Connection, bridge: links.Link, inside: links.Link, result: Result): void {
  const end = needHostsEnd(host, inside, result);
  if (end.master !== bridge.index) throw checkFailure(`"${end.name}" is not a port of bridge "${bridge.name}"`);
}

function gc(request: Gc<BridgeConf>): void {
  const { network, validAttachments } = request;
  runAllSteps([
    ["remove stale masquerade rules", () => gcMasquerade(network, validAttachments, request.host?.netfilter())],
    [
      "collect links",
      () => deleteStaleLinks(links.hostRtnetlink(request), network, validAttachments, { kind: "veth" }),
    ],
    ["remove stale MAC spoof checks", () => collectMacSpoofChecks(validAttachments, request.host)], // those whose links are gone
    ["collect addresses", () => ipam.gc(request)],
  ]);
}

function status(request: Request<BridgeConf>): void {
  const settings = parseSettings(request.conf, undefined);
  const { masquerade } = settings;
  const host = links.openRtnetlink();
  needKinds(host, "bridge", "veth");
  if (filtersVlans(settings)) needVlanFiltering(host, settings.bridge);
  if (masquerade !== undefined) needMasquerade(masquerade.backend);
  ipam.status(request);
}
