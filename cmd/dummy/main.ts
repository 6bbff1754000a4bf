/** dummy: an interface that is connected to nothing, for addresses that a container needs without a network. */
import { validate } from "#validate/dummy";
import * as ipam from "../../pkg/cni/call-ipam.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { checkContainer } from "../../pkg/link/check.ts";
import { configure } from "../../pkg/link/configure.ts";
import { createLink, deleteCreatedLink, needKinds } from "../../pkg/link/create.ts";
import { deleteLink, entryOf, openRtnetlink } from "../../pkg/link/link.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { type DummyConf, needAddresses } from "./netconf.ts";

export const dummy: Plugin<DummyConf> = {
  name: "dummy",
  about: "creates an interface that is connected to nothing",
  validate,
  add,
  del,
  check,
  gc,
  status,
};

function add(attachment: Attachment<DummyConf>): Result {
  const { conf, ifName } = attachment;
  needAddresses(conf);
  const netns = openNamespace(attachment.netns ?? "");
  const container = openRtnetlink(netns);

  return withRollback((undo) => {
    const link = createLink({ netns, container, ifName, owner: attachment }, { linkInfo: { kind: "dummy" } });
    undo("delete the link", () => deleteLink(container, ifName));
    const lease = ipam.add(attachment, 0, undo);
    configure({ netns, rtnl: container, link, sysctls: {} }, lease);
    return { interfaces: [entryOf(link, netns.path)], ...lease, dns: ipam.dnsOf(conf, lease) };
  });
}

function del(attachment: Attachment<DummyConf>): void {
  ipam.del(attachment, ["delete the link", () => deleteCreatedLink(attachment)]);
}

function check(attachment: Attachment<DummyConf>): void {
  needAddresses(attachment.conf);
  checkContainer(attachment, { kind: "dummy" });
}

/** Delegates only: the link is deleted with the namespace, addresses are not. */
function gc(request: Gc<DummyConf>): void {
  ipam.gc(request);
}

function status(request: Request<DummyConf>): void {
  needAddresses(request.conf);
  needKinds(openRtnetlink(), "dummy");
  ipam.status(request);
}
