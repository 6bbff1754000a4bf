/** host-device: an interface of the host moves into the container, and comes back with its name. */
import { validate } from "#validate/host-device";
import { delegateCheck, delegateGc, delegateStatus } from "../../pkg/cni/delegate.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { dnsOf, noLease, takeLease, withRelease } from "../../pkg/cni/lease.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { attemptAll, type Step, withRollback } from "../../pkg/cni/rollback.ts";
import { checkContainer } from "../../pkg/link/check.ts";
import { configure } from "../../pkg/link/configure.ts";
import { inUse, type LinkPlace } from "../../pkg/link/create.ts";
import { entryOf, findLink, type Link, openRoute, setUp } from "../../pkg/link/link.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { isForUserSpace, type Selection, selectionOf } from "./device.ts";
import { bringHome, findReturnedCalled, giveNameBack, settleReturned } from "./home.ts";
import { type Host, moveIn, openHost } from "./move.ts";
import { type HostDeviceConf, type Keeping, keepingOf, namesOf, needNames, settle } from "./netconf.ts";
import { listRecords, type Owner, recordOf, recordsOf, remember } from "./record.ts";
import { tellUse } from "./use.ts";

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
  const { ipam } = keepingOf(conf);
  const netns = openNamespace(attachment.netns ?? "");
  const container = openRoute(netns);

  return withRollback((undo) => {
    const link = selection.isForUserSpace
      ? undefined
      : take(attachment, selection, { netns, container, ifName, owner: attachment }, undo);
    const lease = ipam === undefined ? noLease : takeLease(attachment, ipam, 0, undo);
    if (link !== undefined && ipam !== undefined) configure({ netns, route: container, link, sysctls: {} }, lease);
    const entry = link === undefined ? { name: ifName, sandbox: netns.path } : entryOf(link, netns.path);
    return { interfaces: [entry], ...lease, dns: dnsOf(conf, lease) };
  });
}

/** The device, in the container and up. */
function take(
  attachment: Attachment<HostDeviceConf>,
  selection: Selection,
  place: LinkPlace,
  undo: (what: string, action: () => void) => void,
): Link {
  const keeping = keepingOf(attachment.conf);
  const host = openHost();
  const device = settleReturned(host, keeping.dataDir, needDevice(host, selection, keeping));
  if (findLink(place.container, place.ifName) !== undefined)
    throw inUse(place, `"${device.name}" would have that name there`);
  tellUse(host.route, device, attachment.network);

  undo("bring the device home", () => {
    bringHome(host, attachment, { ...keeping, netns: place.netns.path });
    const returned = device.up ? findLink(host.route, device.name) : undefined;
    if (returned !== undefined) host.route.request(setUp(returned.index));
  });
  remember(keeping.dataDir, recordOf(attachment, device, place.netns.path));
  return moveIn(host, device, place);
}

function needDevice(host: Host, { what, find, matches }: Selection, { device, dataDir }: Keeping): Link {
  const link = find(host.route) ?? (device === "" ? undefined : findReturnedCalled(host, dataDir, device));
  if (link !== undefined) return link;
  const holder = listRecords(dataDir).find(matches);
  throw new CniError({
    code: ErrorCode.internal,
    msg: `failed to find host device: there is no interface ${what} on the host`,
    details: holder && `container ${holder.containerId} of network "${holder.network}" has it as "${holder.ifName}"`,
    remedy: holder
      ? "a device serves one container at a time: delete that attachment first"
      : "see which there are (ip link), and what the configuration names",
  });
}

function del(attachment: Attachment<HostDeviceConf>): void {
  const { conf, netns } = attachment;
  const keeping = keepingOf(conf);
  const home: Step = ["bring the device home", () => bringHome(openHost(), attachment, { ...keeping, netns })];
  attemptAll(withRelease(attachment, keeping.ipam, isForUserSpace(namesOf(conf)) ? [] : [home]));
}

function check(attachment: Attachment<HostDeviceConf>): void {
  const { conf } = attachment;
  const { ipam } = keepingOf(conf);
  if (!isForUserSpace(needNames(conf))) {
    checkContainer(attachment, { ipam });
    return;
  }
  if (ipam !== undefined) delegateCheck(attachment, ipam);
  needPrevResult(attachment); // a program has the device: there is nothing to look at
}

function gc(request: Gc<HostDeviceConf>): void {
  const { network, validAttachments } = request;
  const { dataDir, device, ipam } = keepingOf(request.conf);
  const isValid = ({ containerId, ifName }: Owner) =>
    validAttachments.some((valid) => valid.containerId === containerId && valid.ifName === ifName);
  attemptAll([
    ...recordsOf(dataDir, network)
      .filter((record) => !isValid(record))
      .map(
        (record): Step => [
          `bring "${record.name}" home`,
          () => bringHome(openHost(), record, { dataDir, netns: undefined, device: "" }),
        ],
      ),
    ["give a device its name back", () => giveNameBack(openHost(), device)],
    ["collect addresses", () => ipam !== undefined && delegateGc(request, ipam)],
  ]);
}

/** Whether the device is there it cannot say: a container may have it, and a runtime does not ask for more. */
function status(request: Request<HostDeviceConf>): void {
  settle(request.conf);
  const { ipam } = keepingOf(request.conf);
  if (ipam !== undefined) delegateStatus(request, ipam);
}
