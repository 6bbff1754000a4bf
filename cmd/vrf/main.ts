/** vrf: makes the interface a port of a VRF in the container, which has its own routing table. */
import { validate } from "#validate/vrf";
import { CniError, ErrorCode, invalidConf } from "../../pkg/cni/error.ts";
import type { Attachment, Plugin, Request } from "../../pkg/cni/plugin.ts";
import { needPrevResult } from "../../pkg/cni/prev-result.ts";
import type { Result } from "../../pkg/cni/result.ts";
import { withRollback } from "../../pkg/cni/rollback.ts";
import { isAtLeast, supportedVersions } from "../../pkg/cni/version.ts";
import { formats, isInterfaceName } from "../../pkg/config/formats.ts";
import { checkFailure } from "../../pkg/link/check.ts";
import { createLink, needKinds } from "../../pkg/link/create.ts";
import { isLeftToOther } from "../../pkg/link/delete.ts";
import { deleteLink, findLink, linkNameOf, openRtnetlink, setMaster, setUp } from "../../pkg/link/link.ts";
import { withLockedNamespace } from "../../pkg/link/lock.ts";
import { isRouteOfResult, listAllRoutes, tableOf } from "../../pkg/link/route.ts";
import { freeTable, listRules, usedTables } from "../../pkg/link/rule.ts";
import { listVrfPorts, type VrfPort } from "../../pkg/link/vrf.ts";
import type { Connection } from "../../pkg/netlink/connection.ts";
import { type RouteMessage, RT_TABLE_MAIN } from "../../pkg/netlink/rtnetlink/route.ts";
import { findNamespace, type Namespace, openNamespace } from "../../pkg/sys/namespace.ts";
import { parseSettings, type VrfConf, type VrfSettings } from "./netconf.ts";
import { preserveAcross, preservedConfig } from "./preserve.ts";

export const vrf: Plugin<VrfConf> = {
  name: "vrf",
  about: "adds the interface to a VRF in the container",
  validate,
  versions: supportedVersions.filter((version) => isAtLeast(version, "0.3.1")),
  add,
  del,
  check,
  gc() {}, // the VRF is deleted with the container's namespace
  status,
};

const UNCHAINED = "missing prevResult from earlier plugin";

function add(attachment: Attachment<VrfConf>): Result {
  const { ifName } = attachment;
  const settings = parseSettings(attachment.conf);
  const result = needPrevResult(attachment, UNCHAINED);
  const netns = openNamespace(attachment.netns ?? "");

  return withLockedNamespace(netns, () => {
    const rtnl = openRtnetlink(netns);
    const links = listVrfPorts(rtnl);
    const link = needFreeLink(links, ifName, netns);
    const name = linkNameOf(rtnl, settings.vrf);
    const existing = findVrf(links, { ...settings, vrf: name });
    const routes = listAllRoutes(rtnl);
    const table = existing?.table ?? settings.table ?? unusedTable(rtnl, links, routes);
    const preserved = preservedConfig({ netns, rtnl, link }, routes);

    return withRollback((undo) => {
      const master = existing?.index ?? createVrf({ netns, rtnl, name, table }, undo);
      undo("remove the interface from the VRF", () =>
        preserveAcross(preserved, RT_TABLE_MAIN, () => rtnl.request(setMaster(link.index, 0))),
      );
      preserveAcross(preserved, table, () => rtnl.requestAll([setUp(master), setMaster(link.index, master)]));
      return {
        ...result,
        routes: result.routes.map((one) => (isMoved(one, preserved.routes) ? { ...one, table } : one)),
      };
    });
  });
}

function needFreeLink(links: readonly VrfPort[], ifName: string, { path }: Namespace): VrfPort {
  const link = links.find(({ name }) => name === ifName);
  if (link === undefined) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: `could not get link by name ${ifName}: there is none in ${path}`,
      remedy: `put "vrf" after the plugin that creates the interface`,
    });
  }
  if (link.master === 0) return link;
  const master = links.find(({ index }) => index === link.master)?.name ?? `index ${link.master}`;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `interface ${ifName} has already a master set: ${master}`,
    remedy:
      "delete the attachment first (DEL), or remove the interface from its master: `ip link set … nomaster` in the container",
  });
}

/** Returns the VRF; undefined when no link has that name. @throws CniError 999: the link is no VRF, or has another table */
function findVrf(links: readonly VrfPort[], { vrf, table }: VrfSettings): VrfPort | undefined {
  const found = links.find(({ name }) => name === vrf);
  if (found === undefined) return undefined;
  if (found.table === undefined) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: `Netlink ${vrf} is not a VRF: it is of kind "${found.kind}"`,
      remedy: `set "vrfname" to another name`,
    });
  }
  if (table === undefined || table === found.table) return found;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `VRF ${vrf} already exist with different routing table ${found.table}, "table" is ${table}`,
    remedy: `networks that share a VRF must have the same table: set "table" to ${found.table}, or remove it, or choose another "vrfname"`,
  });
}

/** Returns a free table. The reference plugin begins with 1, too. */
function unusedTable(rtnl: Connection, links: readonly VrfPort[], routes: readonly RouteMessage[]): number {
  const ofVrfs = links.flatMap(({ table }) => table ?? []);
  return freeTable(new Set([...usedTables(listRules(rtnl), routes), ...ofVrfs]), 1);
}

interface NewVrf {
  netns: Namespace;
  rtnl: Connection;
  name: string;
  table: number;
}

/** Makes the VRF. @returns its index */
function createVrf({ netns, rtnl, name, table }: NewVrf, undo: (what: string, action: () => void) => void): number {
  if (!isInterfaceName(name)) {
    throw invalidConf(
      `"vrfname" is ${JSON.stringify(name)}, must be ${formats.ifname.allowed}`,
      "no VRF in the container has it as an alternative name either: correct it",
    );
  }
  const place = { netns, container: rtnl, ifName: name };
  const { index } = createLink(place, { linkInfo: { kind: "vrf", data: { table } } });
  undo("delete the VRF", () => deleteLink(rtnl, name));
  return index;
}

/** Whether the result's route was in the main table and has been moved. */
const isMoved = (one: Result["routes"][number], routes: readonly RouteMessage[]): boolean =>
  (one.table ?? RT_TABLE_MAIN) === RT_TABLE_MAIN &&
  routes.some((route) => tableOf(route) === RT_TABLE_MAIN && isRouteOfResult(route, one));

/** Deletes the VRF with its last port, which the kernel then releases. */
function del(attachment: Attachment<VrfConf>): void {
  const { conf, netns: path, ifName } = attachment;
  const netns = conf.vrfname === undefined ? undefined : findNamespace(path);
  if (netns === undefined) return;
  withLockedNamespace(netns, () => {
    const rtnl = openRtnetlink(netns);
    const link = findLink(rtnl, ifName);
    if (link !== undefined && isLeftToOther(link, attachment)) return;
    const links = listVrfPorts(rtnl);
    const vrfName = linkNameOf(rtnl, conf.vrfname ?? "");
    const vrf = links.find(({ name, table }) => name === vrfName && table !== undefined);
    if (vrf === undefined) return;
    const members = links.filter(({ master }) => master === vrf.index);
    const own = members.find(({ name }) => name === ifName);
    if (members.every((one) => one === own)) deleteLink(rtnl, vrf.name);
    else if (own !== undefined) rtnl.request(setMaster(own.index, 0));
  });
}

function check(attachment: Attachment<VrfConf>): void {
  const { ifName } = attachment;
  const settings = parseSettings(attachment.conf);
  needPrevResult(attachment, UNCHAINED);
  const rtnl = openRtnetlink(openNamespace(attachment.netns ?? ""));
  const links = listVrfPorts(rtnl);
  const vrf = findVrf(links, { ...settings, vrf: linkNameOf(rtnl, settings.vrf) });
  if (vrf === undefined) throw checkFailure(`VRF "${settings.vrf}" is missing`);
  if (!vrf.up) throw checkFailure(`VRF "${settings.vrf}" is down, must be up`);
  const isMember = links.some(({ name, master }) => name === ifName && master === vrf.index);
  if (!isMember) throw checkFailure(`failed to find ${ifName} associated to vrf ${settings.vrf}`);
}

function status({ conf }: Request<VrfConf>): void {
  parseSettings(conf);
  needKinds(openRtnetlink(), "vrf");
}
