/** What a picture of an attachment needs beside its addresses: the links of both ends, the process, the published ports. */
import { isObject, type Json, type JsonObject } from "../config/json.ts";
import { inNamespace } from "../link/in-namespace.ts";
import { findLink, type Link, listLinks, openRtnetlink } from "../link/link.ts";
import { findVxlan } from "../link/vxlan.ts";
import type { Connection } from "../netlink/connection.ts";
import { isErrno, SystemError } from "../sys/errno.ts";
import { findStat, readLink } from "../sys/file.ts";
import { findNamespace } from "../sys/namespace.ts";
import { processes } from "../sys/namespace-state.ts";
import { attachmentState, type NetworkAttachment } from "./attachment.ts";

/** The host as `inspect` finds it, read once for all attachments. */
export interface HostView {
  links: ReadonlyMap<string, Link>;
  names: ReadonlyMap<number, string>;
  /** The lowest process ID of each network namespace, by its inode. */
  processes: ReadonlyMap<string, number>;
  /** The VNI of each bridge that has a VXLAN device as port, by the bridge's name. */
  vnis: ReadonlyMap<string, number>;
}

export function viewOfHost(): HostView {
  const rtnl = openRtnetlink();
  const links = listLinks(rtnl);
  const names = new Map(links.map(({ index, name }) => [index, name]));
  return {
    links: new Map(links.map((link) => [link.name, link])),
    names,
    processes: processesByNamespace(),
    vnis: new Map(
      links.filter(({ kind, master }) => kind === "vxlan" && master !== 0).flatMap((link) => vniOf(rtnl, link, names)),
    ),
  };
}

function vniOf(
  rtnl: Connection,
  { name, master }: Link,
  names: ReadonlyMap<number, string>,
): (readonly [bridge: string, vni: number])[] {
  const [vni, bridge] = [findVxlan(rtnl, name)?.vxlan?.vni, names.get(master)];
  return vni === undefined || bridge === undefined ? [] : [[bridge, vni]];
}

function processesByNamespace(): Map<string, number> {
  const found = new Map<string, number>();
  for (const process of processes()
    .map(Number)
    .sort((one, other) => other - one)) {
    const inode = namespaceOf(process);
    if (inode !== undefined) found.set(inode, process);
  }
  return found;
}

/** Returns undefined when the process has ended, or may not be examined. */
function namespaceOf(process: number): string | undefined {
  try {
    return /^net:\[(\d+)\]$/.exec(readLink(`/proc/${process}/ns/net`))?.[1];
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** Both ends of an attachment, and what is at them. What is not known is undefined. */
export interface AttachmentEnds {
  /** The container's interface. */
  inside: Link | undefined;
  /** The host's end of a veth pair, and the bridge of which it is a port. */
  outside: Link | undefined;
  bridge: string | undefined;
  vni: number | undefined;
  /** By container port, as in {"80/tcp": "0.0.0.0:8080"}. */
  ports: JsonObject;
}

export function endsOf(attachment: NetworkAttachment, { links, names, vnis }: HostView): AttachmentEnds {
  const { ifName, netns, entry } = attachment;
  const outside = hostLinkOf(attachment, links);
  const bridge = outside === undefined ? undefined : names.get(outside.master);
  return {
    inside: netns === undefined ? undefined : linkIn(netns, ifName),
    outside,
    bridge,
    vni: bridge === undefined ? undefined : vnis.get(bridge),
    ports: portsOf(entry?.capabilityArgs["portMappings"]),
  };
}

/** Returns the facts under the names that `inspect` prints; those that are not known are left out. */
export function attachmentDetail(attachment: NetworkAttachment, view: HostView): JsonObject {
  const { ifName, netns, record, pod } = attachment;
  const inode = record?.namespace.inode ?? (netns === undefined ? undefined : String(findStat(netns)?.inode));
  const process = inode === undefined ? undefined : view.processes.get(inode);
  const { inside, outside, bridge, vni, ports } = endsOf(attachment, view);
  return {
    ...(pod !== undefined && { Pod: pod }),
    Interface: ifName,
    ...(inside !== undefined && { InterfaceIndex: inside.index }),
    ...(outside !== undefined && { HostInterface: outside.name, HostInterfaceIndex: outside.index }),
    ...(bridge !== undefined && { Bridge: bridge }),
    ...(vni !== undefined && { VNI: vni }),
    ...(netns !== undefined && { Namespace: netns }),
    NamespaceState: attachmentState(attachment),
    ...(process !== undefined && { Process: process }),
    ConnectedBy: record === undefined ? "runtime" : "twill network",
    ...(record !== undefined && { Aliases: record.aliases }),
    Ports: ports,
  };
}

/** Those of the names that may be left out. */
export const optionalDetails = [
  "Pod",
  "InterfaceIndex",
  "HostInterface",
  "HostInterfaceIndex",
  "Bridge",
  "VNI",
  "Namespace",
  "Process",
  "Aliases",
];

/** Finds the host's end: the veth pair's other end among the host's interfaces of the result. */
export const hostLinkOf = (attachment: NetworkAttachment, links: HostView["links"]): Link | undefined =>
  hostInterfacesOf(attachment)
    .map((name) => links.get(name))
    .find((link) => link?.kind === "veth");

function hostInterfacesOf({ entry }: NetworkAttachment): string[] {
  const interfaces = entry?.result["interfaces"];
  return (Array.isArray(interfaces) ? interfaces : [])
    .filter(isObject)
    .flatMap(({ name, sandbox }) => (typeof name === "string" && !sandbox ? [name] : []));
}

function linkIn(netns: string, ifName: string): Link | undefined {
  try {
    const namespace = findNamespace(netns);
    return namespace && inNamespace(namespace, (rtnl) => findLink(rtnl, ifName));
  } catch (error) {
    if (isErrno(error, "EACCES", "EPERM")) return undefined;
    throw error;
  }
}

/** Formats port mappings as `docker port` does: `80/tcp` -> `0.0.0.0:8080`. */
function portsOf(mappings: Json | undefined): JsonObject {
  const ports = (Array.isArray(mappings) ? mappings : []).filter(isObject).map((mapping): [string, string] => {
    const { hostPort, containerPort, protocol = "tcp", hostIP } = mapping;
    return [`${containerPort}/${protocol}`, `${hostIP || "0.0.0.0"}:${hostPort}`];
  });
  return Object.fromEntries(ports);
}
