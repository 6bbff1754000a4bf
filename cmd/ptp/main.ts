/** ptp: a veth pair between the container and the host, which routes for it. */

import { validate } from "#validate/ptp";
import { delegateGc, delegateStatus } from "../../pkg/cni/delegate.ts";
import { dnsOf, ipamOf, takeLease, withRelease } from "../../pkg/cni/lease.ts";
import type { Attachment, Gc, Plugin, Request } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { attemptAll, withRollback } from "../../pkg/cni/rollback.ts";
import {
  collectMasquerade,
  masquerade,
  needMasquerade,
  restoreMasquerade,
  unmasquerade,
} from "../../pkg/firewall/masquerade.ts";
import { familyOf } from "../../pkg/ip/address.ts";
import { checkContainer, needHostsEnd } from "../../pkg/link/check.ts";
import { configure, perform, prefixesOf } from "../../pkg/link/configure.ts";
import { needKinds } from "../../pkg/link/create.ts";
import { deleteLink, entryOf, type Link, openRoute } from "../../pkg/link/link.ts";
import { deleteStaleLinks } from "../../pkg/link/owner.ts";
import { enableForwarding, trySysctl } from "../../pkg/link/sysctl.ts";
import { createVeth, deleteVeth } from "../../pkg/link/veth.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { openNamespace } from "../../pkg/sys/namespace.ts";
import { type PtpConf, settle } from "./netconf.ts";
import { checkHostsWay, hostsWay, routesToGateways, routesToSubnets, waysOf } from "./way.ts";

export const ptp: Plugin<PtpConf> = {
  name: "ptp",
  about: "connects the container to the host by a veth pair, and the host routes for it",
  validate,
  add,
  del,
  check,
  gc,
  status,
};

const CONTAINER = 1; // index of the container's interface in the result

function add(attachment: Attachment<PtpConf>): Result {
  const { conf, ifName } = attachment;
  const { ipam, mtu, masquerade: masquerading } = settle(conf);
  const netns = openNamespace(attachment.netns ?? "");
  const host = openRoute();
  const container = openRoute(netns);

  return withRollback((undo) => {
    const { inside, outside } = createVeth(host, { netns, container, ifName, mtu, owner: attachment });
    undo("delete the veth pair", () => deleteLink(container, ifName));

    const lease = takeLease(attachment, ipam, CONTAINER, undo);
    const ways = waysOf(lease.ips);
    const families = new Set(ways.map(({ gateway }) => familyOf(gateway)));
    if (families.has("6")) trySysctl(...withoutDetection(outside));
    const sysctls = families.has("6") ? [withoutDetection(inside)] : [];
    configure(
      { netns, route: container, link: inside, sysctls: Object.fromEntries(sysctls), duplicates: "none" },
      lease,
      {
        beforeRoutes: routesToGateways(inside.index, ways), // which IPAM's routes may go through
        afterRoutes: routesToSubnets(inside.index, ways), // other gateways of IPAM's routes are known by the kernel's
      },
    );
    perform(host, outside, hostsWay(outside.index, ways));
    for (const family of families) enableForwarding(family);

    if (masquerading !== undefined) {
      undo("remove the masquerade", () => unmasquerade(attachment, prefixesOf(lease)));
      masquerade(attachment, prefixesOf(lease), masquerading.backend);
    }
    return { interfaces: [entryOf(outside), entryOf(inside, netns.path)], ...lease, dns: dnsOf(conf, lease) };
  });
}

/**
 * There are two hosts on the cable, and IPAM gives each address once, so looking for duplicates would only delay. This is for the
 * link-local addresses, which the kernel makes: without one a host cannot ask for its neighbour.
 */
const withoutDetection = ({ name }: Link) => [`ipv6/conf/${name}/accept_dad`, "0"] as const;

/** Makes the rules true again that ADD made, as its result tells. */
export function restore(attachment: Attachment<PtpConf>, netfilter: () => Connection): void {
  const { masquerade: masquerading } = settle(attachment.conf);
  const { ips, interfaces } = needPrevResult(attachment);
  const own = interfaces.findIndex(({ name, sandbox }) => name === attachment.ifName && sandbox);
  const leased = ips.filter((ip) => ip.interface === undefined || ip.interface === own);
  if (masquerading !== undefined)
    restoreMasquerade(netfilter, attachment, prefixesOf({ ips: leased }), masquerading.backend);
}

function del(attachment: Attachment<PtpConf>): void {
  const { conf, prevResult } = attachment;
  const leased = prevResult === undefined ? [] : prefixesOf(prevResult);
  attemptAll(
    withRelease(attachment, ipamOf(conf), [
      // the kernel's waits for removed rules and for the removed link overlap when the rules go first
      ["remove the masquerade", () => conf.ipMasq === true && unmasquerade(attachment, leased)],
      ["delete the veth pair", () => deleteVeth(attachment)],
    ]),
  );
}

function check(attachment: Attachment<PtpConf>): void {
  const { result, link } = checkContainer(attachment, { ipam: settle(attachment.conf).ipam, kind: "veth" });
  const host = openRoute();
  checkHostsWay(host, needHostsEnd(host, link, result), waysOf(result.ips));
}

function gc(request: Gc<PtpConf>): void {
  const { conf, network, validAttachments } = request;
  const ipam = ipamOf(conf);
  attemptAll([
    ["collect masquerade rules", () => collectMasquerade(network, validAttachments)],
    ["collect links", () => deleteStaleLinks(openRoute(), network, validAttachments, { kind: "veth" })],
    ["collect addresses", () => ipam !== undefined && delegateGc(request, ipam)],
  ]);
}

function status(request: Request<PtpConf>): void {
  const { ipam, masquerade } = settle(request.conf);
  needKinds(openRoute(), "veth");
  if (masquerade !== undefined) needMasquerade(masquerade.backend);
  delegateStatus(request, ipam);
}
