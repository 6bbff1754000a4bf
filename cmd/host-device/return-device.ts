/**
 * Returns devices to the host: from the container or, when that died first, from where the kernel put them.
 *
 * When a namespace is deleted, the kernel moves hardware to the initial namespace, with its name in the container, or as
 * "dev<index>" where that is taken, some milliseconds later; the alias stays. Virtual devices are deleted with the namespace.
 */

import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import { isInterfaceName } from "../../pkg/config/formats.ts";
import { findLink, type Link, listLinks, openRtnetlink } from "../../pkg/link/link.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { monotonicMs, sleepMs } from "../../pkg/sys/clock.ts";
import { findNamespace } from "../../pkg/sys/namespace.ts";
import { writeStderr } from "../../pkg/sys/process.ts";
import { type Host, type HostState, moveToHost, restoreState } from "./move.ts";
import {
  attributesIn,
  type DeviceRecord,
  findDevice,
  findRecord,
  hasInterfaceSomewhere,
  isDevice,
  listRecords,
  namespaceOf,
  removeRecord,
} from "./record.ts";

/** Longest time that the kernel needs to move hardware out of a deleted namespace. */
const RETURN_TIMEOUT_MS = 2000;
const RETURN_POLL_MS = 10;

export interface ReturnOptions {
  dataDir: string;
  /** CNI_NETNS; the record's namespace is used when it is absent or leads nowhere. */
  netns: string | undefined;
  /** The name on the host that the configuration has; "" when it selects the device in another way. */
  device: string;
}

/**
 * Returns the attachment's device to the host, with its name there. May be called repeatedly.
 *
 * @returns false when there was neither a device nor a record of one
 * @throws CniError 999: that name is taken. Then nothing is changed.
 */
export function returnDevice(host: Host, owner: AttachmentId, options: ReturnOptions): boolean {
  const { dataDir, netns, device } = options;
  const record = findRecord(dataDir, owner);
  const namespace = findNamespace(netns) ?? (record && namespaceOf(record));
  if (namespace !== undefined) {
    const container = openRtnetlink(namespace);
    const attached = findAttached(container, owner, record, options);
    if (attached !== undefined) {
      moveToHost(host, attached.link, { netns: namespace, container }, attached.home);
      removeRecord(dataDir, owner);
      return true;
    }
  }
  if (record === undefined) {
    restoreName(host, device);
    return false;
  }
  const mayComeLater = hasInterfaceSomewhere(record);
  const isOnTheWay = mayComeLater && namespace === undefined;
  const returned = isOnTheWay ? waitForReturned(host, record) : findReturned(host, record);
  if (returned !== undefined) restoreState(host, returned, homeOf(returned, record));
  if (returned === undefined && mayComeLater) {
    tellMissing(record);
    return true;
  }
  if (returned === undefined && namespace !== undefined) tellLost(record);
  removeRecord(dataDir, owner);
  return true;
}

/** Restores the name of a device that the reference plugin moved and the kernel returned: its only mark is the alias. */
export function restoreName(host: Host, device: string): void {
  const link = isInterfaceName(device) ? findAliased(host.rtnl, device) : undefined; // else it is an alternative name, and not gone
  if (link !== undefined) restoreState(host, link, { name: device, alias: "", attributes: {} });
}

interface Attached {
  link: Link;
  home: HostState;
}

/**
 * Finds the device in the container, which may have renamed it. A link that matches no record and has no alias is not ours: ADD failed,
 * perhaps because of it.
 *
 * @param device Its name on the host; "" where the configuration does not tell
 */
function findAttached(
  container: Connection,
  owner: AttachmentId,
  record: DeviceRecord | undefined,
  { dataDir, device }: ReturnOptions,
): Attached | undefined {
  const named = findLink(container, owner.ifName);
  if (record !== undefined) {
    const link = named && isDevice(record, named) ? named : findDevice(record, listLinks(container));
    return link && { link, home: stateIn(record) };
  }
  const link = named ?? (isInterfaceName(device) ? findAliased(container, device) : undefined);
  if (link === undefined || listRecords(dataDir).some((other) => isDevice(other, link))) return undefined;
  if (isInterfaceName(link.alias)) return { link, home: { name: link.alias, alias: "", attributes: {} } }; // the reference plugin moved it
  tellUnknown(owner);
  return undefined;
}

/** Finds the device on the host, under any name. */
const findReturned = (host: Host, record: DeviceRecord): Link | undefined => findDevice(record, listLinks(host.rtnl));

/** Finds the link with the device's name in its alias, unless a link has the name. */
function findAliased(rtnl: Connection, device: string): Link | undefined {
  return findLink(rtnl, device) === undefined ? listLinks(rtnl).find(({ alias }) => alias === device) : undefined;
}

function waitForReturned(host: Host, record: DeviceRecord): Link | undefined {
  for (const started = monotonicMs(); ; sleepMs(RETURN_POLL_MS)) {
    const link = findReturned(host, record);
    if (link !== undefined || monotonicMs() - started > RETURN_TIMEOUT_MS) return link;
  }
}

/** Returns the state on the host. An alias that another program has written meanwhile is kept. */
const homeOf = (link: Link, record: DeviceRecord): HostState => ({
  ...stateIn(record),
  alias: link.alias === record.name ? record.alias : link.alias,
});

const stateIn = (record: DeviceRecord): HostState => ({
  name: record.name,
  alias: record.alias,
  attributes: attributesIn(record),
});

/**
 * Restores the name of a device that was found on the host. It has another name if its container died without a DEL.
 *
 * @throws CniError 999: its own name is taken
 */
export function restoreReturned(host: Host, dataDir: string, link: Link): Link {
  const record = listRecords(dataDir).find((one) => isDevice(one, link) && namespaceOf(one) === undefined);
  if (record === undefined) return link;
  const home = homeOf(link, record);
  restoreState(host, link, home);
  removeRecord(dataDir, record);
  return { ...link, name: home.name, alias: home.alias };
}

/** Finds a returned device by its original name, which no interface has now. */
export function findReturnedByName(host: Host, dataDir: string, device: string): Link | undefined {
  const record = listRecords(dataDir).find(({ name }) => name === device);
  return (record && findReturned(host, record)) ?? findAliased(host.rtnl, device);
}

function tellUnknown({ network, ifName }: AttachmentId): void {
  writeStderr(
    `host-device: network "${network}": failed to find original ifname for "${ifName}" (alias is not set): it stays in the container\n`,
  );
}

function tellMissing({ network, ifName, name, sysfs }: DeviceRecord): void {
  writeStderr(
    `host-device: network "${network}": "${name}" (${sysfs}), which was "${ifName}" of the container, is in another namespace; a later DEL or GC restores its name\n`,
  );
}

/** About a virtual device of a container that lives: nothing tells whether it still exists. */
function tellLost({ network, ifName, name, alias }: DeviceRecord): void {
  const renamed = alias === "" ? "" : ` and its alias "${alias}"`;
  writeStderr(
    `host-device: network "${network}": "${name}", which was "${ifName}" of the container, is neither in the container nor on the host: it was deleted, or moved to another namespace, from where it does not return with its name${renamed}\n`,
  );
}
