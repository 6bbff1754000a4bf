/** tap: a device in the container that a program, usually a virtual machine, opens to send and receive frames. */
import { validate } from "#validate/tap";
import { readArgs } from "../../pkg/cni/args.ts";
import * as ipam from "../../pkg/cni/call-ipam.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { setAttributes } from "../../pkg/link/attributes.ts";
import { checkContainer, checkFailure } from "../../pkg/link/check.ts";
import { type ConfigTask, configure, performTasks } from "../../pkg/link/configure.ts";
import { deleteCreatedLink } from "../../pkg/link/create.ts";
import { deleteLink, entryOf, findLink, type Link, needLink, openRtnetlink, setMaster } from "../../pkg/link/link.ts";
import { formatMac } from "../../pkg/link/mac.ts";
import { createTap, needTaps } from "../../pkg/link/tap.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { type Namespace, openNamespace } from "../../pkg/sys/namespace.ts";
import { parseSettings, type TapConf, type TapSettings } from "./netconf.ts";

export const tap: Plugin<TapConf> = {
  name: "tap",
  about: "creates a tap device in the container, for a program that sends and receives frames",
  validate,
  add,
  del,
  check,
  gc,
  status,
};

function add(attachment: Attachment<TapConf>): Result {
  const { conf, ifName } = attachment;
  const settings = settingsOf(attachment);
  const netns = openNamespace(attachment.netns ?? "");
  const container = openRtnetlink(netns);
  const bridge = settings.bridge === undefined ? undefined : needBridge(container, settings.bridge, netns);

  return withRollback((undo) => {
    const made = createTap({ netns, container, ifName, owner: attachment }, settings);
    undo("delete the tap device", () => deleteLink(container, ifName));
    const link = adjusted(container, made, adjustments(made, settings, bridge));
    const lease = ipam.add(attachment, 0, undo);
    const sysctls = lease.ips.length === 0 ? {} : { [`ipv4/conf/${ifName}/arp_notify`]: "1" };
    configure({ netns, rtnl: container, link, sysctls, duplicates: "later" }, lease); // no packets arrive until a program opens it
    return { interfaces: [entryOf(link, netns.path)], ...lease, dns: ipam.dnsOf(conf, lease) };
  });
}

function settingsOf({ conf, args }: Attachment<TapConf>): TapSettings {
  return parseSettings(conf, readArgs(args, ["MAC"]).MAC);
}

function needBridge(container: Connection, name: string, { path }: Namespace): Link {
  const bridge = findLink(container, name);
  if (bridge !== undefined) return bridge;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `there is no bridge "${name}" in ${path}`,
    remedy: `"bridge" is the name of a bridge in the container, not on the host: create it there first, by an earlier plugin, or remove "bridge"`,
  });
}

function adjustments({ index }: Link, { mac, mtu }: TapSettings, bridge: Link | undefined): ConfigTask[] {
  return [
    ...(mac === undefined ? [] : [{ what: `MAC ${formatMac(mac)}`, request: setAttributes(index, { mac }) }]),
    ...(mtu === 0 ? [] : [{ what: `MTU ${mtu}`, request: setAttributes(index, { mtu }) }]),
    ...(bridge === undefined ? [] : [{ what: `bridge "${bridge.name}"`, request: setMaster(index, bridge.index) }]),
  ];
}

/** Applies the tasks, and returns the changed link. */
function adjusted(container: Connection, link: Link, tasks: readonly ConfigTask[]): Link {
  if (tasks.length === 0) return link;
  performTasks(container, link, tasks);
  return needLink(container, link.index);
}

function del(attachment: Attachment<TapConf>): void {
  ipam.del(attachment, ["delete the tap device", () => deleteCreatedLink(attachment)]);
}

function check(attachment: Attachment<TapConf>): void {
  const { bridge: name } = settingsOf(attachment);
  const { container, link } = checkContainer(attachment, { kind: "tun" });
  if (name === undefined) return;
  const bridge = findLink(container, name);
  if (bridge === undefined) throw checkFailure(`bridge "${name}" is missing in ${attachment.netns}`);
  if (link.master !== bridge.index) throw checkFailure(`"${link.name}" is not a port of bridge "${name}"`);
}

/** Delegates only: the device is deleted with the namespace, addresses are not. */
function gc(request: Gc<TapConf>): void {
  ipam.gc(request);
}

function status(request: Request<TapConf>): void {
  parseSettings(request.conf, undefined);
  needTaps();
  ipam.status(request);
}
