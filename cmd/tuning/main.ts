/** tuning: changes settings of an interface that a preceding plugin made, and sysctls in the container. */
import { validate } from "#validate/tuning";
import { readArgs } from "../../pkg/cni/args.ts";
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { needWritable } from "../../pkg/cni/status.ts";
import { reportUnreadable } from "../../pkg/cni/unreadable-records.ts";
import { addressesOf, type LinkAddress } from "../../pkg/link/address.ts";
import { findAttributes, type LinkAttributes, setAttributes } from "../../pkg/link/attributes.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import { isLeftToOther } from "../../pkg/link/delete.ts";
import { refuseSmallMtu } from "../../pkg/link/ipv6.ts";
import { findLink, openRtnetlink } from "../../pkg/link/link.ts";
import { formatMac } from "../../pkg/link/mac.ts";
import { macInUse } from "../../pkg/link/mac-holder.ts";
import { findSysctl, writeSysctl } from "../../pkg/link/sysctl.ts";
import type { Connection, NetlinkError } from "../../pkg/netlink/connection.ts";
import { RT_SCOPE_LINK } from "../../pkg/netlink/rtnetlink/route.ts";
import { isErrno } from "../../pkg/sys/errno.ts";
import { findNamespace, type Namespace, openNamespace, within } from "../../pkg/sys/namespace.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import { refuseForbidden } from "./allow-list.ts";
import { collectBackups, readBackup, removeBackup, removeOwnBackup, writeBackup } from "./backup.ts";
import {
  dataDirOf,
  parseSettings,
  refuseDuplicates,
  type Sysctl,
  type TuningConf,
  type TuningSettings,
} from "./netconf.ts";

export const tuning: Plugin<TuningConf> = {
  name: "tuning",
  about: "changes settings of an existing interface, and sysctls in the container",
  validate,
  add,
  del,
  check,
  gc,
  status,
};

function add(attachment: Attachment<TuningConf>): Result {
  const { ifName } = attachment;
  const { sysctls, attributes, dataDir } = settingsOf(attachment);
  refuseForbidden(sysctls);
  const result = needPrevResult(attachment);
  const netns = openNamespace(attachment.netns ?? "");
  const place = { ...attachment, dataDir };

  return withRollback((undo) => {
    within(netns, () => {
      for (const sysctl of sysctls) {
        const before = needSysctl(sysctl);
        undo(`restore ${sysctl.key}`, () => within(netns, () => restore(sysctl, before)));
        set(sysctl);
      }
    });
    tellLostAddresses(sysctls, result, attachment);
    if (Object.keys(attributes).length === 0) return result;

    const rtnl = openRtnetlink(netns);
    const { index, ...before } = needAttributes(rtnl, ifName, netns);
    refuseOtherLength(ifName, before.mac, attributes.mac);
    if (attributes.mtu !== undefined) refuseMtuBelowIPv6(ifName, attributes.mtu, addressesOf(rtnl, index));
    const changed = pick(before, attributes);
    undo("remove the backup", () => removeBackup(place));
    writeBackup(place, changed);
    undo("restore the interface", () => rtnl.request(setAttributes(index, changed)));
    change(rtnl, index, ifName, attributes);
    return withMac(result, ifName, attributes.mac);
  });
}

/** Parses the settings. @throws CniError 7: whatever is invalid in the configuration alone */
function settingsOf({ conf, args, ifName, stdin }: Attachment<TuningConf>): TuningSettings {
  if (conf.sysctl !== undefined) refuseDuplicates(stdin);
  if (ifName.includes("/")) {
    throw invalidConf(
      `Interface name (${ifName}) contains an invalid character /`,
      "choose another interface name: it is used in a path",
    );
  }
  return parseSettings(conf, ifName, readArgs(args, ["MAC"]).MAC);
}

function needSysctl({ key, path }: Sysctl): string {
  const value = findSysctl(path);
  if (value !== undefined) return value;
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: `sysctl "${key}" does not exist in the container: there is no /proc/sys/net/${path}`,
    remedy: `correct the key; "ip netns exec NAMESPACE sysctl -a" lists those that exist, for interfaces with dots write IFNAME`,
  });
}

/** Restores a sysctl, unless it was not changed: what the kernel has refused to set, it refuses to restore. */
function restore({ path }: Sysctl, before: string): void {
  if (findSysctl(path) !== before) writeSysctl(path, before);
}

/** Warns where a sysctl has removed IPv6 addresses that the result names: CHECK of the plugin that has set them fails. */
function tellLostAddresses(
  sysctls: readonly Sysctl[],
  { ips }: Result,
  { ifName, network }: Attachment<TuningConf>,
): void {
  const disabling = sysctls.find(({ path, value }) => disablesIPv6(path, value, ifName));
  const lost = disabling && ips.find(({ address }) => address.includes(":"));
  if (lost === undefined) return;
  writeStderr(
    `tuning: network "${network}": sysctl "${disabling?.key}" disables IPv6 on "${ifName}", which loses ${lost.address}; ` +
      `To fix: remove the sysctl, or the ranges of IPv6 in "ipam"\n`,
  );
}

function disablesIPv6(path: string, value: string, ifName: string): boolean {
  const disables = [`ipv6/conf/${ifName}/disable_ipv6`, "ipv6/conf/all/disable_ipv6"].includes(path);
  return disables && Number(value) !== 0;
}

function set({ key, path, value }: Sysctl): void {
  try {
    writeSysctl(path, value);
  } catch (cause) {
    if (cause instanceof CniError) throw cause;
    throw new CniError({
      code: ErrorCode.invalidConfig,
      msg: `the kernel refuses ${JSON.stringify(value)} for sysctl "${key}"`,
      details: (cause as Error).message,
      remedy: `see the kernel's documentation (ip-sysctl) for the values that it accepts; it is "${findSysctl(path)}" now`,
      cause,
    });
  }
}

function needAttributes(rtnl: Connection, ifName: string, { path }: Namespace) {
  const found = findAttributes(rtnl, ifName);
  if (found !== undefined) return found;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `interface "${ifName}" does not exist in ${path}`,
    remedy: "put tuning after the plugin that creates the interface",
  });
}

/** Refuses a MAC that is not as long as the present one: the kernel would take as many of its bytes. */
function refuseOtherLength(ifName: string, present: Uint8Array, wanted: Uint8Array | undefined): void {
  if (wanted === undefined || wanted.length === present.length) return;
  throw invalidConf(
    `"mac" is ${formatMac(wanted)}, which has ${wanted.length} bytes; the address of "${ifName}" has ${present.length}`,
    `write ${present.length} bytes, as those of ${formatMac(present)}`,
  );
}

/** Refuses an MTU with which the kernel would remove the IPv6 addresses that the plugins in front have set. */
function refuseMtuBelowIPv6(ifName: string, mtu: number, addresses: readonly LinkAddress[]): void {
  for (const { prefix, scope } of addresses) if (scope !== RT_SCOPE_LINK) refuseSmallMtu(ifName, mtu, prefix);
}

/** Returns those of all attributes that are to be changed. */
function pick(all: Required<LinkAttributes>, wanted: LinkAttributes): LinkAttributes {
  return Object.fromEntries(Object.entries(all).filter(([name]) => name in wanted)) as LinkAttributes;
}

function change(rtnl: Connection, index: number, ifName: string, attributes: LinkAttributes): void {
  const [refusal] = rtnl.attemptAll([setAttributes(index, attributes)]);
  if (refusal !== undefined) throw refused(ifName, attributes, refusal);
}

function refused(ifName: string, attributes: LinkAttributes, cause: NetlinkError): CniError {
  const { mac, ...others } = attributes;
  const wanted = Object.entries({ ...(mac && { mac: formatMac(mac) }), ...others }).map((pair) => pair.join(" "));
  return new CniError({
    code: isErrno(cause, "EINVAL", "ERANGE", "EADDRNOTAVAIL") ? ErrorCode.invalidConfig : ErrorCode.internal,
    msg: `the kernel refuses ${wanted.join(", ")} for "${ifName}"`,
    details: cause.message,
    remedy:
      isErrno(cause, "EADDRINUSE") && mac
        ? macInUse(formatMac(mac))
        : `see what the interface supports: ip -d link show dev ${ifName}`,
    cause,
  });
}

function withMac(result: Result, ifName: string, mac: Uint8Array | undefined): Result {
  if (mac === undefined) return result;
  const interfaces = result.interfaces.map((one) => (one.name === ifName ? { ...one, mac: formatMac(mac) } : one));
  return { ...result, interfaces };
}

/** Restores the attributes, for interfaces that outlive the container, as host-device's. Sysctls end with the namespace. */
function del(attachment: Attachment<TuningConf>): void {
  const { netns, ifName, network } = attachment;
  const place = { ...attachment, dataDir: dataDirOf(attachment.conf) };
  const before = readBackup(place);
  if (before === undefined) {
    removeBackup(place);
    return;
  }
  const namespace = findNamespace(netns);
  if (namespace !== undefined) {
    const rtnl = openRtnetlink(namespace);
    const link = findLink(rtnl, ifName);
    if (link !== undefined && isLeftToOther(link, attachment)) return;
    const [refusal] = link === undefined ? [] : rtnl.attemptAll([setAttributes(link.index, before)]);
    if (refusal !== undefined)
      writeStderr(`tuning: network "${network}": could not restore "${ifName}": ${refusal.message}\n`);
  }
  removeOwnBackup(place);
}

function check(attachment: Attachment<TuningConf>): void {
  const { ifName } = attachment;
  const { sysctls, attributes } = settingsOf(attachment);
  needPrevResult(attachment);
  const netns = openNamespace(attachment.netns ?? "");
  within(netns, () => {
    for (const { key, path, value } of sysctls) {
      const found = findSysctl(path);
      if (words(found) !== words(value))
        throw checkFailure(`sysctl "${key}" is ${JSON.stringify(found)}, must be "${value}"`);
    }
  });
  if (Object.keys(attributes).length === 0) return;
  const found = findAttributes(openRtnetlink(netns), ifName);
  if (found === undefined) throw checkFailure(`Cannot find container link ${ifName}`);
  for (const [name, [is, wanted]] of differences(found, attributes)) {
    throw checkFailure(`${name} of "${ifName}" is ${is}, must be ${wanted}`);
  }
}

/** Normalizes white space: the kernel separates the items of lists by tabs. */
const words = (value: string | undefined): string | undefined => value?.trim().split(/\s+/).join(" ");

function differences(
  found: Required<LinkAttributes>,
  wanted: LinkAttributes,
): [name: string, values: [unknown, unknown]][] {
  const texts = ({ mac, ...others }: LinkAttributes) => ({ ...(mac && { mac: formatMac(mac) }), ...others });
  const now: Record<string, unknown> = texts(found);
  return Object.entries(texts(wanted))
    .filter(([name, value]) => now[name] !== value)
    .map(([name, value]) => [name, [now[name], value]]);
}

function gc({ conf, network, validAttachments }: Gc<TuningConf>): void {
  reportUnreadable("tuning", network, collectBackups(dataDirOf(conf), network, validAttachments));
}

function status({ conf }: Request<TuningConf>): void {
  const { sysctls, attributes, dataDir } = parseSettings(conf, "eth0", undefined);
  refuseForbidden(sysctls);
  if (Object.keys(attributes).length > 0) needWritable("no backup of an interface's settings can be written", dataDir);
}
