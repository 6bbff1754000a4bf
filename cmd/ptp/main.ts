/** ptp: connects the container to the host by a veth pair, and the host routes for it. */

import { validate } from "#validate/ptp";
import { runAllSteps } from "../../pkg/cni/best-effort-del.ts";
import * as ipam from "../../pkg/cni/call-ipam.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import {
  addMasquerade,
  gcMasquerade,
  needMasquerade,
  removeMasquerade,
  restoreMasquerade,
} from "../../pkg/firewall/masquerade/masquerade.ts";
import { familyOf } from "../../pkg/ip/family.ts";
import { checkContainer, needHostsEnd } from "../../pkg/link/check.ts";
import { configure, performTasks, prefixesOf } from "../../pkg/link/configure.ts";
import { needKinds } from "../../pkg/link/create.ts";
import { enableIPv6 } from "../../pkg/link/ipv6.ts";
import { deleteLink, entryOf, hostRtnetlink, type Link, openRtnetlink } from "../../pkg/link/link.ts";
import { deleteStaleLinks } from "../../pkg/link/owner.ts";
import { enableForwarding, trySysctl } from "../../pkg/link/sysctl.ts";
import { createVeth, deleteVeth } from "../../pkg/link/veth.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { type PtpConf, parseSettings } from "./netconf.ts";
import { checkHostEnd, gatewayAddresses, hostEndTasks, routesToGateways, routesToSubnets } from "./routes.ts";

export const ptp: Plugin<PtpConf> = {
  name: "ptp",
  about: "connects the container to the host by a veth pair, with routes on the host",
  validate,
  add,
  del,
  check,
  gc,
  status,
  restore,
};

const CONTAINER = 1; // index of the container's interface in the result

function add(attachment: Attachment<PtpConf>): Result {
  const { conf, ifName } = attachment;
  const { mtu, masquerade: masquerading } = parseSettings(conf);
  const netns = openNamespace(attachment.netns ?? "");
  const host = openRtnetlink();
  const container = openRtnetlink(netns);

  return withRollback((undo) => {
    const { inside, outside } = createVeth(host, { netns, container, ifName, mtu, owner: attachment });
    undo("delete the veth pair", () => deleteLink(container, ifName));

    const lease = ipam.add(attachment, CONTAINER, undo);
    const entries = gatewayAddresses(lease.ips);
    const families = new Set(entries.map(({ gateway }) => familyOf(gateway)));
    if (families.has("ipv6")) trySysctl(...withoutDetection(outside));
    const sysctls = families.has("ipv6") ? [withoutDetection(inside)] : [];
    configure(
      { netns, rtnl: container, link: inside, sysctls: Object.fromEntries(sysctls), duplicates: "none" },
      lease,
      {
        beforeRoutes: routesToGateways(inside.index, entries), // IPAM's routes may use these
        afterRoutes: routesToSubnets(inside.index, entries), // other gateways of IPAM's routes need the kernel's routes
      },
    );
    enableIPv6(outside, prefixesOf(lease));
    performTasks(host, outside, hostEndTasks(outside.index, entries));
    for (const family of families) enableForwarding(family);

    if (masquerading !== undefined) {
      undo("remove the masquerade", () => removeMasquerade(attachment, prefixesOf(lease)));
      addMasquerade(attachment, prefixesOf(lease), masquerading.backend);
    }
    return { interfaces: [entryOf(outside), entryOf(inside, netns.path)], ...lease, dns: ipam.dnsOf(conf, lease) };
  });
}

/**
 * Returns the sysctl that turns duplicate address detection off for link-local addresses, which the kernel makes: without one, a
 * host cannot send neighbour solicitations. Only two hosts are on the link, and IPAM allocates each address once, so detection
 * would only cost time.
 */
const withoutDetection = ({ name }: Link) => [`ipv6/conf/${name}/accept_dad`, "0"] as const;

/** Restores the rules that ADD made, according to its result. */
function restore(attachment: Attachment<PtpConf>, netfilter: () => Connection): void {
  const { masquerade: masquerading } = parseSettings(attachment.conf);
  const { ips, interfaces } = needPrevResult(attachment);
  const own = interfaces.findIndex(({ name, sandbox }) => name === attachment.ifName && sandbox);
  const leased = ips.filter((ip) => ip.interface === undefined || ip.interface === own);
  if (masquerading !== undefined)
    restoreMasquerade(netfilter, attachment, prefixesOf({ ips: leased }), masquerading.backend);
}

function del(attachment: Attachment<PtpConf>): void {
  const { conf, prevResult } = attachment;
  const leased = prevResult === undefined ? [] : prefixesOf(prevResult);
  ipam.del(
    attachment,
    ["delete the veth pair", () => deleteVeth(attachment)],
    // the kernel's waits for removed rules and for the removed link overlap when the rules go first
    [
      [
        "remove the masquerade",
        () => conf.ipMasq === true && removeMasquerade(attachment, leased, attachment.host?.netfilter()),
      ],
    ],
  );
}

function check(attachment: Attachment<PtpConf>): void {
  parseSettings(attachment.conf);
  const { result, link } = checkContainer(attachment, { kind: "veth" });
  const host = openRtnetlink();
  checkHostEnd(host, needHostsEnd(host, link, result), gatewayAddresses(result.ips));
}

function gc(request: Gc<PtpConf>): void {
  const { network, validAttachments } = request;
  runAllSteps([
    ["remove stale masquerade rules", () => gcMasquerade(network, validAttachments, request.host?.netfilter())],
    ["collect links", () => deleteStaleLinks(hostRtnetlink(request), network, validAttachments, { kind: "veth" })],
    ["collect addresses", () => ipam.gc(request)],
  ]);
}

function status(request: Request<PtpConf>): void {
  const { masquerade } = parseSettings(request.conf);
  needKinds(openRtnetlink(), "veth");
  if (masquerade !== undefined) needMasquerade(masquerade.backend);
  ipam.status(request);
}
