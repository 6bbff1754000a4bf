/** vlan: an interface in a VLAN of the network that one of the host's links is connected to. */
import { validate } from "#validate/vlan";
import * as ipam from "../../pkg/cni/call-ipam.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { checkContainer, checkFailure } from "../../pkg/link/check.ts";
import { configure } from "../../pkg/link/configure.ts";
import { deleteCreatedLink, needKinds } from "../../pkg/link/create.ts";
import { deleteLink, entryOf, findLinkInfo, openRtnetlink } from "../../pkg/link/link.ts";
import { checkParent, createChild, needParent, type Parent, parentStatus } from "../../pkg/link/parent.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { parseSettings, type VlanConf } from "./netconf.ts";

export const vlan: Plugin<VlanConf> = {
  name: "vlan",
  about: "connects the container to a VLAN of a link of the host",
  validate,
  add,
  del,
  check,
  gc,
  status,
};

function add(attachment: Attachment<VlanConf>): Result {
  const { conf, ifName } = attachment;
  const { id } = parseSettings(conf);
  const netns = openNamespace(attachment.netns ?? "");
  const container = openRtnetlink(netns);
  const parent = needMaster(conf, container);

  return withRollback((undo) => {
    const link = createChild({ netns, container, ifName, owner: attachment }, parent, {
      linkInfo: { kind: "vlan", data: { id } },
    });
    undo("delete the link", () => deleteLink(container, ifName));
    const lease = ipam.add(attachment, 0, undo);
    configure({ netns, rtnl: container, link, sysctls: {} }, lease);
    return { interfaces: [entryOf(link, netns.path)], ...lease, dns: ipam.dnsOf(conf, lease) };
  });
}

/** Returns the master, which must be up: otherwise the kernel refuses to set the VLAN link up (ENETDOWN), now and later. */
function needMaster(conf: VlanConf, container: Connection): Parent {
  const parent = needParent(conf, container);
  const { name, up } = parent.link;
  if (up) return parent;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `master "${name}" is down, must be up`,
    remedy: `set it up (ip link set ${name} up), then try again`,
  });
}

function del(attachment: Attachment<VlanConf>): void {
  ipam.del(attachment, ["delete the link", () => deleteCreatedLink(attachment)]);
}

function check(attachment: Attachment<VlanConf>): void {
  const { conf } = attachment;
  const { id } = parseSettings(conf);
  const checked = checkContainer(attachment, { kind: "vlan" });
  const { container, link } = checked;
  checkParent(conf, checked);
  const info = findLinkInfo(container, link.index);
  const found = info?.kind === "vlan" ? info.data?.id : undefined;
  if (found !== id) throw checkFailure(`"${link.name}" is in VLAN ${found}, not ${id}`);
  if (conf.mtu && link.mtu !== conf.mtu) throw checkFailure(`"${link.name}" has MTU ${link.mtu}, not ${conf.mtu}`);
}

/** Delegates only: the link is deleted with the namespace, addresses are not. */
function gc(request: Gc<VlanConf>): void {
  ipam.gc(request);
}

function status(request: Request<VlanConf>): void {
  parseSettings(request.conf);
  needKinds(openRtnetlink(), "vlan");
  parentStatus(request.conf, needMaster);
  ipam.status(request);
}
