/** macvlan: an interface with its own MAC on the network of one of the host's links. */
import { validate } from "#validate/macvlan";
import { readArgs } from "../../pkg/cni/args.ts";
import { runAllSteps } from "../../pkg/cni/best-effort-del.ts";
import * as ipam from "../../pkg/cni/call-ipam.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { checkContainer, checkFailure } from "../../pkg/link/check.ts";
import { configure } from "../../pkg/link/configure.ts";
import { deleteCreatedLink, needKinds } from "../../pkg/link/create.ts";
import { deleteLink, entryOf, findLinkInfo, hostRtnetlink, openRtnetlink } from "../../pkg/link/link.ts";
import {
  announceSysctls,
  type ChildLink,
  checkParent,
  createChild,
  needParent,
  parentStatus,
} from "../../pkg/link/parent.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { checkHostAccess, closeHostAccess, collectHostAccess, openHostAccess } from "./host-access.ts";
import { type MacvlanConf, type MacvlanSettings, modes, parseSettings } from "./netconf.ts";

export const macvlan: Plugin<MacvlanConf> = {
  name: "macvlan",
  about: "connects the container to the network of a link of the host, with its own MAC",
  validate,
  add,
  del,
  check,
  gc,
  status,
};

function add(attachment: Attachment<MacvlanConf>): Result {
  const { conf, ifName } = attachment;
  const settings = settingsOf(attachment);
  const netns = openNamespace(attachment.netns ?? "");
  const container = openRtnetlink(netns);
  const parent = needParent(conf, container);

  return withRollback((undo) => {
    const link = createChild({ netns, container, ifName, owner: attachment }, parent, linkOf(settings));
    undo("delete the link", () => deleteLink(container, ifName));
    const lease = ipam.add(attachment, 0, undo);
    configure({ netns, rtnl: container, link, sysctls: announceSysctls(ifName, lease) }, lease);
    if (settings.hostAccess) {
      undo("remove the host's access", () => closeHostAccess(attachment));
      openHostAccess(parent, attachment, lease.ips);
    }
    return { interfaces: [entryOf(link, netns.path)], ...lease, dns: ipam.dnsOf(conf, lease) };
  });
}

function settingsOf({ conf, args }: Attachment<MacvlanConf>): MacvlanSettings {
  return parseSettings(conf, readArgs(args, ["MAC"]).MAC);
}

function linkOf({ mode, broadcastQueueLength, mac }: MacvlanSettings): ChildLink {
  const data = { mode: modes[mode], ...(broadcastQueueLength > 0 && { broadcastQueueLength }) };
  return { linkInfo: { kind: "macvlan", data }, mac };
}

function del(attachment: Attachment<MacvlanConf>): void {
  ipam.del(
    attachment,
    ["delete the link", () => deleteCreatedLink(attachment)],
    [
      [
        "remove the host's access",
        () => attachment.conf.hostAccess === true && closeHostAccess(attachment, hostRtnetlink(attachment)),
      ],
    ],
  );
}

function check(attachment: Attachment<MacvlanConf>): void {
  const { conf } = attachment;
  const { mode, hostAccess } = settingsOf(attachment);
  const checked = checkContainer(attachment, { kind: "macvlan" });
  checkParent(conf, checked);
  const info = findLinkInfo(checked.container, checked.link.index);
  if (info?.kind !== "macvlan" || info.data?.mode !== modes[mode])
    throw checkFailure(`"${checked.link.name}" is not in macvlan mode ${mode}`);
  if (hostAccess) checkHostAccess(attachment, checked.result);
}

/** Removes what is on the host; the link is deleted with the namespace. */
function gc(request: Gc<MacvlanConf>): void {
  const { network, validAttachments } = request;
  runAllSteps([
    ["remove stale host access", () => collectHostAccess(network, validAttachments, hostRtnetlink(request))],
    ["collect addresses", () => ipam.gc(request)],
  ]);
}

function status(request: Request<MacvlanConf>): void {
  needKinds(openRtnetlink(), "macvlan");
  parentStatus(request.conf);
  ipam.status(request);
}
