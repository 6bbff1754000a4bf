/** ipvlan: an interface with the MAC of one of the host's links, and with its own addresses on that link's network. */
import { validate } from "#validate/ipvlan";
import * as ipam from "../../pkg/cni/call-ipam.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { checkContainer, checkFailure } from "../../pkg/link/check.ts";
import { configure } from "../../pkg/link/configure.ts";
import { deleteCreatedLink, needKinds } from "../../pkg/link/create.ts";
import { deleteLink, entryOf, findLinkInfo, openRtnetlink } from "../../pkg/link/link.ts";
import { announceSysctls, checkParent, createChild, needParent, parentStatus } from "../../pkg/link/parent.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { type IpvlanConf, modeOf, modes, parentSelector } from "./netconf.ts";

export const ipvlan: Plugin<IpvlanConf> = {
  name: "ipvlan",
  about: "connects the container to a link of the host, with the MAC of that link",
  validate,
  add,
  del,
  check,
  gc,
  status,
};

function add(attachment: Attachment<IpvlanConf>): Result {
  const { conf, ifName, prevResult } = attachment;
  const wish = parentSelector(conf, prevResult);
  const netns = openNamespace(attachment.netns ?? "");
  const container = openRtnetlink(netns);
  const parent = needParent(wish, container);

  return withRollback((undo) => {
    const linkInfo = { kind: "ipvlan", data: { mode: modes[modeOf(conf)] } } as const;
    const link = createChild({ netns, container, ifName, owner: attachment }, parent, { linkInfo });
    undo("delete the link", () => deleteLink(container, ifName));
    const lease = ipam.typeOf(conf) === undefined ? inherited(prevResult) : ipam.add(attachment, 0, undo);
    configure({ netns, rtnl: container, link, sysctls: announceSysctls(ifName, lease) }, lease);
    return { interfaces: [entryOf(link, netns.path)], ...lease, dns: ipam.dnsOf(conf, lease) };
  });
}

/** Returns the addresses of the preceding plugin for the interface, for a configuration without IPAM. */
function inherited(prevResult: Result | undefined): ipam.IpamResult {
  if (prevResult === undefined || prevResult.ips.length === 0) return ipam.emptyResult;
  const { ips, routes, dns } = prevResult;
  return { ips: ips.map((ip) => ({ ...ip, interface: 0 })), routes, ...(dns && { dns }) };
}

function del(attachment: Attachment<IpvlanConf>): void {
  ipam.del(attachment, ["delete the link", () => deleteCreatedLink(attachment)]);
}

function check(attachment: Attachment<IpvlanConf>): void {
  const { conf } = attachment;
  const checked = checkContainer(attachment, { kind: "ipvlan", hasAddresses: true });
  const { container, link } = checked;
  checkParent(conf, checked);
  const info = findLinkInfo(container, link.index);
  if (info?.kind !== "ipvlan" || info.data?.mode !== modes[modeOf(conf)])
    throw checkFailure(`"${link.name}" is not in ipvlan mode ${modeOf(conf)}`);
}

/** Delegates only: the link is deleted with the namespace, addresses are not. */
function gc(request: Gc<IpvlanConf>): void {
  ipam.gc(request);
}

/** Checks the master only if it is named: otherwise the preceding plugin may make it. */
function status(request: Request<IpvlanConf>): void {
  needKinds(openRtnetlink(), "ipvlan");
  if (request.conf.master) parentStatus(request.conf);
  ipam.status(request);
}
