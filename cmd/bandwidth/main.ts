/** bandwidth: limits the traffic that a container receives and sends, at the host end of its veth pair. */

import { validate } from "#validate/bandwidth";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { isAtLeast, supportedVersions } from "../../pkg/cni/version.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import { needKinds } from "../../pkg/link/create.ts";
import { deleteLink, entryOf, hostRtnetlink, openRtnetlink } from "../../pkg/link/link.ts";
import { deleteStaleLinks } from "../../pkg/link/owner.ts";
import { needHostInterface, servesAnother } from "./host-interface.ts";
import { deleteIfb, ensureIfb, findIfb } from "./ifb.ts";
import { type BandwidthConf, parseSettings } from "./netconf.ts";
import { isRedirected, redirect, removeRedirection } from "./redirection.ts";
import { checkLimit, limit, unlimit } from "./token-bucket.ts";

export const bandwidth: Plugin<BandwidthConf> = {
  name: "bandwidth",
  about: "limits the traffic that a container receives and sends",
  validate,
  versions: supportedVersions.filter((version) => isAtLeast(version, "0.3.0")),
  add,
  del,
  check,
  gc,
  status,
};

/**
 * Limits what the host end sends, which is what the container receives. What the container sends goes through an ifb, and is
 * limited there.
 */
function add(attachment: Attachment<BandwidthConf>): Result {
  const { ingress, egress } = parseSettings(attachment.conf);
  const result = needPrevResult(attachment, "must be called as chained plugin");
  if (ingress === undefined && egress === undefined) return result;
  const host = openRtnetlink();
  const port = needHostInterface(host, attachment, result);

  return withRollback((undo) => {
    if (ingress !== undefined) {
      undo("remove the limit", () => unlimit(host, port));
      limit(host, port, ingress);
    }
    if (egress === undefined) return result;
    const ifb = ensureIfb(host, attachment, port.mtu);
    undo("delete the ifb device", () => deleteLink(host, ifb.name));
    limit(host, ifb, egress);
    undo("remove the redirection", () => removeRedirection(host, port, ifb));
    redirect(host, port, ifb);
    return { ...result, interfaces: [...result.interfaces, entryOf(ifb)] };
  });
}

/** Deletes the ifb. The qdiscs at the host end of the veth pair are deleted with the pair. */
function del(attachment: Attachment<BandwidthConf>): void {
  const host = hostRtnetlink(attachment);
  deleteIfb(host, attachment, (ifb) => servesAnother(host, attachment, ifb));
}

function check(attachment: Attachment<BandwidthConf>): void {
  const { ingress, egress } = parseSettings(attachment.conf);
  const result = needPrevResult(attachment, "must be called as a chained plugin");
  if (ingress === undefined && egress === undefined) return;
  const host = openRtnetlink();
  const port = needHostInterface(host, attachment, result);
  if (ingress !== undefined) checkLimit(host, port, ingress);
  if (egress === undefined) return;
  const ifb = findIfb(host, attachment);
  if (ifb === undefined) throw checkFailure(`the ifb device that limits what "${attachment.ifName}" sends is missing`);
  if (!ifb.up) throw checkFailure(`"${ifb.name}", which limits what "${attachment.ifName}" sends, is down, must be up`);
  checkLimit(host, ifb, egress);
  if (!isRedirected(host, port, ifb))
    throw checkFailure(`what "${port.name}" receives is not redirected to "${ifb.name}"`);
}

function gc({ network, validAttachments, host }: Gc<BandwidthConf>): void {
  deleteStaleLinks(hostRtnetlink({ host }), network, validAttachments, { kind: "ifb" });
}

function status({ conf }: Request<BandwidthConf>): void {
  const { egress } = parseSettings(conf);
  if (egress !== undefined) needKinds(openRtnetlink(), "ifb");
}
