/** host-device: moves an interface of the host into the container, and returns it with its name. */

import { validate } from "#validate/host-device";
import type { AttachmentId } from "../../pkg/cni/attachment-id.ts";
import { type NamedStep, runAllSteps } from "../../pkg/cni/best-effort-del.ts";
import * as ipam from "../../pkg/cni/call-ipam.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { needWritable } from "../../pkg/cni/status.ts";
import { reportUnreadable } from "../../pkg/cni/unreadable-records.ts";
import { findAttributes } from "../../pkg/link/attributes.ts";
import { checkContainer } from "../../pkg/link/check.ts";
import { configure } from "../../pkg/link/configure.ts";
import { type LinkRef, nameInUse } from "../../pkg/link/create.ts";
import { entryOf, findLink, type Link, openRtnetlink, setUp } from "../../pkg/link/link.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { isForUserSpace, type Selection, selectionOf } from "./device.ts";
import { warnIfInUse } from "./in-use.ts";
import { type Host, moveToContainer, openHost, withHost } from "./move.ts";
import {
  type CleanupSettings,
  cleanupSettings,
  type HostDeviceConf,
  namesOf,
  needNames,
  parseSettings,
} from "./netconf.ts";
import { listRecords, recordOf, recordsOf, writeRecord } from "./record.ts";
import { findReturnedByName, restoreName, restoreReturned, returnDevice } from "./return-device.ts";

export const hostDevice: Plugin<HostDeviceConf> = {
  name: "host-device",
  about: "moves an interface of the host into the container",
  validate,
  add,
  del,
  check,
  gc,
  status,
};

function add(attachment: Attachment<HostDeviceConf>): Result {
  const { conf, ifName } = attachment;
  const selection = selectionOf(needNames(conf));
  const netns = openNamespace(attachment.netns ?? "");
  const container = openRtnetlink(netns);

  return withRollback((undo) => {
    const link = selection.isForUserSpace
      ? undefined
      : take(attachment, selection, { netns, container, ifName, owner: attachment }, undo);
    const lease = ipam.add(attachment, 0, undo);
    if (link !== undefined && ipam.typeOf(conf) !== undefined)
      configure({ netns, rtnl: container, link, sysctls: {} }, lease);
    const entry = link === undefined ? { name: ifName, sandbox: netns.path } : entryOf(link, netns.path);
    return { interfaces: [entry], ...lease, dns: ipam.dnsOf(conf, lease) };
  });
}

/** Moves the device into the container and sets it up. */
function take(
  attachment: Attachment<HostDeviceConf>,
  selection: Selection,
  place: LinkRef,
  undo: (what: string, action: () => void) => void,
): Link {
  const keeping = cleanupSettings(attachment.conf);
  const host = openHost();
  const device = restoreReturned(host, keeping.dataDir, needDevice(host, selection, keeping));
  if (findLink(place.container, place.ifName) !== undefined)
    throw nameInUse(place, `"${device.name}" would get that name in the container`);
  warnIfInUse(host.rtnl, device, attachment.network);

  undo("return the device to the host", () => {
    returnDevice(host, attachment, { ...keeping, netns: place.netns.path });
    const returned = device.up ? findLink(host.rtnl, device.name) : undefined;
    if (returned !== undefined) host.rtnl.request(setUp(returned.index));
  });
  const attributes = findAttributes(host.rtnl, device.name);
  writeRecord(keeping.dataDir, recordOf(attachment, device, place.netns.path, attributes));
  return moveToContainer(host, device, place);
}

function needDevice(host: Host, { what, find, matches }: Selection, { device, dataDir }: CleanupSettings): Link {
  const link = find(host.rtnl) ?? (device === "" ? undefined : findReturnedByName(host, dataDir, device));
  if (link !== undefined) return link;
  const holder = listRecords(dataDir).find(matches);
  throw new CniError({
    code: ErrorCode.internal,
    msg: `failed to find host device: there is no interface ${what} on the host`,
    details: holder && `container ${holder.containerId} of network "${holder.network}" has it as "${holder.ifName}"`,
    remedy: holder
      ? "a device serves one container at a time: delete that attachment first"
      : "see which interfaces exist (ip link), and correct the configuration",
  });
}

function del(attachment: Attachment<HostDeviceConf>): void {
  const { conf, netns } = attachment;
  const keeping = cleanupSettings(conf);
  ipam.del(attachment, [
    "return the device to the host",
    () =>
      isForUserSpace(namesOf(conf)) ||
      withHost(attachment, (host) => returnDevice(host, attachment, { ...keeping, netns })),
  ]);
}

function check(attachment: Attachment<HostDeviceConf>): void {
  if (!isForUserSpace(needNames(attachment.conf))) {
    checkContainer(attachment);
    return;
  }
  ipam.check(attachment);
  needPrevResult(attachment); // a program uses the device: there is no interface to check
}

function gc(request: Gc<HostDeviceConf>): void {
  const { network, validAttachments } = request;
  const { dataDir, device } = cleanupSettings(request.conf);
  const isValid = ({ containerId, ifName }: AttachmentId) =>
    validAttachments.some((valid) => valid.containerId === containerId && valid.ifName === ifName);
  const unreadable: string[] = [];
  const records = recordsOf(dataDir, network, (file) => unreadable.push(file));
  reportUnreadable("host-device", network, unreadable);
  runAllSteps([
    ...records
      .filter((record) => !isValid(record))
      .map(
        (record): NamedStep => [
          `return "${record.name}" to the host`,
          () => withHost(request, (host) => returnDevice(host, record, { dataDir, netns: undefined, device: "" })),
        ],
      ),
    ["restore the name of a device", () => withHost(request, (host) => restoreName(host, device))],
    ["collect addresses", () => ipam.gc(request)],
  ]);
}

/** Does not check whether the device is there: a container may have it, which is no reason to fail. */
function status(request: Request<HostDeviceConf>): void {
  parseSettings(request.conf);
  needWritable("no record of a device can be written", cleanupSettings(request.conf).dataDir);
  ipam.status(request);
}
