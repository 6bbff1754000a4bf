/**
 * Links in a network with enable_icc=false: the client of a link reaches the ports that its target exposes, and nothing else of it. The table of
 * pkg/firewall/links says what passes; the flag of the target's port, that something may. The records say for whom: both are made anew from them, whoever
 * was interrupted before.
 */
import { CniError, ErrorCode } from "../cni/error.ts";
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from "../firewall/iptables/rule.ts";
import {
  findLinkDifference,
  hasLinkTable,
  type LinkHole,
  type LinkHoles,
  placeLinkHoles,
  targetsIn,
} from "../firewall/links/link-table.ts";
import { type Address, isIPv4, parsePrefix } from "../ip/address.ts";
import { type BridgePort, listPorts, setPort } from "../link/bridge.ts";
import { withOwnRtnetlink } from "../link/in-namespace.ts";
import { listLinks } from "../link/link.ts";
import { linkLocalAddress } from "../link/mac.ts";
import { type Connection, connect, NETLINK_NETFILTER } from "../netlink/connection.ts";
import { isolatesPorts, parseList } from "../runtime/network-list.ts";
import { cacheRootsOf, readCacheFiles } from "../runtime/result-cache.ts";
import { isErrno } from "../sys/errno.ts";
import { attachmentState, listAttachments, type NetworkAttachment } from "./attachment.ts";
import { hostLinkOf } from "./attachment-detail.ts";
import { type AttachmentRecord, listAllAttachmentRecords } from "./attachment-record.ts";
import { aliasesOf } from "./container-name.ts";
import { publishedPortsIn } from "./published-port.ts";
import { listRuns } from "./run-record.ts";
import { furtherNamesOf } from "./unrecorded-attachment.ts";

/** A container of a network, as far as links are concerned. */
export interface LinkEnd {
  containerId: string;
  /** Its name in the network, aliases and IDs. */
  names: readonly string[];
  /** The names of those that it is linked to. */
  links: readonly string[];
  /** The name of its port of the bridge. */
  port: string;
  mac: string;
  addresses: readonly Address[];
  /** As "80/tcp". */
  exposed: readonly string[];
}

/** Those whose header begins with the ports. */
const protocols: Readonly<Record<string, number>> = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP, sctp: IPPROTO_SCTP };

/** Returns what passes between the containers for their links. Who is linked to a name of several is linked to each of them. Pure. */
export function holesBetween(ends: readonly LinkEnd[]): Omit<LinkHoles, "openPorts"> {
  const pairs = ends.flatMap((client) =>
    targetsOf(client, ends).map((target) => ({ client, target, holes: holesOf(client, target) })),
  );
  const linked = new Set(pairs.flatMap(({ client, target, holes }) => (holes.length > 0 ? [client, target] : [])));
  return {
    holes: pairs.flatMap(({ holes }) => holes),
    addresses: [...linked].flatMap((end) => addressesOf(end).map((address) => ({ port: end.port, address }))),
  };
}

function targetsOf(client: LinkEnd, ends: readonly LinkEnd[]): LinkEnd[] {
  const wanted = new Set(client.links.map((name) => name.toLowerCase()));
  return ends.filter((end) => end !== client && end.names.some((name) => wanted.has(name.toLowerCase())));
}

const holesOf = (client: LinkEnd, target: LinkEnd): LinkHole[] =>
  target.exposed.flatMap((text) => {
    const [port, name = ""] = text.split("/");
    const protocol = protocols[name];
    return protocol === undefined ? [] : [{ client: client.port, target: target.port, protocol, port: Number(port) }];
  });

/** With that of the link, from which the kernel asks for neighbours. */
function addressesOf({ mac, addresses }: LinkEnd): Address[] {
  const linkLocal = addresses.every(isIPv4) ? undefined : linkLocalAddress(mac);
  return [...addresses, ...(linkLocal === undefined ? [] : [linkLocal])];
}

/** Reports whether links may open ports in a network, by its records. */
export const hasLinks = (networkName: string, records: readonly AttachmentRecord[]): boolean =>
  records.some((record) => record.networkName === networkName && record.links.length > 0);

/** Reports whether a container of a network may have links, or be the target of one. */
export const mayBeLinked = ({ networkName, record }: NetworkAttachment): boolean =>
  (record !== undefined && record.links.length > 0) || isAnyOpen(networkName);

/** Reports whether links open something in a network: without its table nothing is open. */
export function isAnyOpen(networkName: string): boolean {
  const netfilter = findNetfilter();
  try {
    return netfilter !== undefined && hasLinkTable(netfilter, networkName);
  } finally {
    netfilter?.close();
  }
}

/** Returns undefined on a kernel without nfnetlink. */
function findNetfilter(): Connection | undefined {
  try {
    return connect(NETLINK_NETFILTER);
  } catch (error) {
    if (isErrno(error, "EPROTONOSUPPORT")) return undefined;
    throw error;
  }
}

/** What is not on disk yet: a container that is being connected counts, one that is being disconnected does not. */
export interface LinkChange {
  connecting?: AttachmentRecord;
  disconnecting?: Pick<AttachmentRecord, "containerId" | "ifName">;
}

/**
 * Has the links of a network open what its records say, and close what they do not. In this order, a port of the bridge is never open without the rules that
 * tell what passes: first those that are no targets any more are isolated, then the rules change, then the targets' isolation is lifted.
 *
 * @throws CniError 999: the kernel refuses. 5: the cache cannot be read
 */
export function placeLinks(networkName: string, cacheRoot: string, change: LinkChange = {}): void {
  withConnections((rtnl, netfilter) => {
    const { wanted, ports, targets } = linksOf({ networkName, cacheRoot, rtnl, netfilter, change });
    const isTarget = ({ name }: BridgePort) => targets.has(name);
    isolate(
      rtnl,
      ports.filter((port) => !isTarget(port)),
      true,
    );
    if (netfilter === undefined) {
      if (wanted.holes.length > 0) throw lacksNetfilter(networkName);
      return;
    }
    try {
      placeLinkHoles(netfilter, networkName, wanted);
    } catch (error) {
      if (!hasLinkTable(netfilter, networkName)) isolate(rtnl, ports, true);
      throw error;
    }
    isolate(rtnl, ports.filter(isTarget), false);
  });
}

/** Calls `work` with what links need of the kernel, then closes it: many networks may have links. */
function withConnections<T>(work: (rtnl: Connection, netfilter: Connection | undefined) => T): T {
  const netfilter = findNetfilter();
  try {
    return withOwnRtnetlink((rtnl) => work(rtnl, netfilter));
  } finally {
    netfilter?.close();
  }
}

const lacksNetfilter = (networkName: string): CniError =>
  new CniError({
    code: ErrorCode.internal,
    msg: `network ${JSON.stringify(networkName)}: this kernel cannot have rules of links between its containers: it has no nfnetlink`,
    remedy: "use a kernel with nf_tables for bridges (CONFIG_NF_TABLES_BRIDGE), or connect without --link",
  });

/** Sets the flag of ports that have it otherwise. A port whose container ends just now is gone. */
function isolate(rtnl: Connection, ports: readonly BridgePort[], isolated: boolean): void {
  const changed = ports.filter((port) => port.isolated !== isolated);
  for (const refusal of rtnl.attemptAll(changed.map(({ index }) => setPort(index, { isolated }))))
    if (refusal !== undefined && !isErrno(refusal, "ENODEV", "EOPNOTSUPP", "EINVAL")) throw refusal;
}

interface Links {
  wanted: LinkHoles;
  /** The ports of the network's containers, and those that the rules as they are have as targets: their isolation was lifted, whatever is on disk now. */
  ports: BridgePort[];
  /** The names of those that may not be isolated. */
  targets: ReadonlySet<string>;
  ends: LinkEnd[];
}

interface LinkContext {
  networkName: string;
  cacheRoot: string;
  rtnl: Connection;
  netfilter: Connection | undefined;
  change: LinkChange;
}

function linksOf({ networkName, cacheRoot, rtnl, netfilter, change }: LinkContext): Links {
  const attachments = listAttachments(cacheRoot, { name: networkName }).attachments.filter(isIsolating);
  const formerTargets = netfilter === undefined ? [] : targetsIn(netfilter, networkName);
  if (attachments.length === 0 && formerTargets.length === 0)
    return { wanted: { holes: [], addresses: [], openPorts: [] }, ports: [], targets: new Set(), ends: [] }; // most networks with links isolate nobody
  const byName = new Map(listLinks(rtnl).map((link) => [link.name, link]));
  const own = attachments.flatMap((attachment) => {
    const port = hostLinkOf(attachment, byName);
    return port === undefined ? [] : { attachment, port: port.name };
  });
  const ends = withExposed(
    own.flatMap(({ attachment, port }) => endOf(attachment, port, change)),
    cacheRoot,
  );
  const holes = holesBetween(ends);
  const targets = new Set(holes.holes.map(({ target }) => target));
  const allPorts = listPorts(rtnl);
  const bridges = new Set(allPorts.filter(({ name }) => targets.has(name)).map(({ bridge }) => bridge));
  const isOfContainer = ({ name }: BridgePort) => byName.get(name)?.kind === "veth"; // one that comes just now is not isolated yet
  const openPorts = allPorts
    .filter((port) => bridges.has(port.bridge) && !port.isolated && !isOfContainer(port))
    .map(({ name }) => name);
  const ownNames = new Set([...own.map(({ port }) => port), ...formerTargets]);
  return {
    wanted: { ...holes, openPorts },
    ports: allPorts.filter(({ name }) => ownNames.has(name)),
    targets,
    ends,
  };
}

/** One whose configuration cannot be read gets no hole. */
function isIsolating({ entry }: NetworkAttachment): boolean {
  try {
    return entry !== undefined && parseList(entry.config, "cached configuration").plugins.some(isolatesPorts);
  } catch (error) {
    if (error instanceof CniError) return false;
    throw error;
  }
}

/** Returns none for a container that is gone, and for one that is not connected yet or any more. */
function endOf(
  { containerId, containerName, ifName, entry, ...attachment }: NetworkAttachment,
  port: string,
  { connecting, disconnecting }: LinkChange,
): LinkEnd[] {
  const isOf = (key: LinkChange["disconnecting"]) => key?.containerId === containerId && key.ifName === ifName;
  const record = isOf(connecting) ? connecting : attachment.record;
  const isConnected =
    !isOf(disconnecting) &&
    (record === undefined || record.unfinished === undefined) &&
    attachmentState({ ...attachment, containerId, containerName, ifName, entry }) !== "dead";
  if (!isConnected) return [];
  const { mac, addresses } = record ?? attachment;
  const aliases = record?.aliases ?? (entry === undefined ? [] : aliasesOf(entry));
  return [
    {
      containerId,
      names: [containerName, containerId, ...furtherNamesOf({ aliases, containerId })],
      links: (record?.links ?? []).map(({ container }) => container),
      port,
      mac,
      addresses: addresses.flatMap((text) => parsePrefix(text)?.address ?? []),
      exposed: [],
    },
  ];
}

/** Adds the ports that the targets expose: those of `twill run --expose` and `-p`, and those that a runtime published through any of their networks. */
function withExposed(ends: readonly LinkEnd[], cacheRoot: string): LinkEnd[] {
  const ids = new Set(ends.flatMap((client) => targetsOf(client, ends)).map(({ containerId }) => containerId));
  if (ids.size === 0) return [...ends];
  const exposed = new Map([...ids].map((id) => [id, new Set<string>()]));
  const parts = [...ids].map((id) => `-${id}-`);
  const isWanted = (fileName: string) => parts.some((part) => fileName.includes(part)); // of the other files only the names are read
  for (const found of cacheRootsOf(cacheRoot).flatMap((root) => [...readCacheFiles(root, isWanted)])) {
    if ("reason" in found) continue;
    for (const { containerPort, protocol } of publishedPortsIn(found.capabilityArgs["portMappings"]))
      exposed.get(found.containerId)?.add(`${containerPort}/${protocol}`);
  }
  for (const run of listRuns()) for (const port of run.exposed) exposed.get(run.id)?.add(port);
  return ends.map((end) => ({ ...end, exposed: [...(exposed.get(end.containerId) ?? [])] }));
}

/** Something that keeps a link from what it opens, or lets through more. */
export interface LinkProblem {
  text: string;
  /** The containers of which it is true. */
  containers: readonly string[];
}

/** Returns what is otherwise than the records of a network say; changes nothing. @throws CniError 5: the cache cannot be read */
export function findLinkProblems(networkName: string, cacheRoot: string): LinkProblem[] {
  if (!hasLinks(networkName, listAllAttachmentRecords().records)) return [];
  const { wanted, ports, targets, ends, difference } = withConnections((rtnl, netfilter) => {
    const links = linksOf({ networkName, cacheRoot, rtnl, netfilter, change: {} });
    return { ...links, difference: netfilter && findLinkDifference(netfilter, networkName, links.wanted) };
  });
  const linked = new Set(wanted.holes.flatMap(({ client, target }) => [client, target]));
  const containersAt = (names: ReadonlySet<string>) =>
    ends.filter(({ port }) => names.has(port)).map(({ containerId }) => containerId);
  return [
    ...(difference === undefined ? [] : [{ text: difference, containers: containersAt(linked) }]),
    ...ports
      .filter(({ name, isolated }) => isolated === targets.has(name))
      .map(({ name, isolated }) => ({
        text: isolated
          ? `port ${name} of the bridge is isolated, must not be: containers are linked to it`
          : `port ${name} of the bridge is not isolated, must be: no container is linked to it`,
        containers: containersAt(new Set([name])),
      })),
  ];
}

/** Returns the names of networks whose records have links. */
export const networksWithLinks = (
  records: readonly AttachmentRecord[] = listAllAttachmentRecords().records,
): string[] => [...new Set(records.filter(({ links }) => links.length > 0).map(({ networkName }) => networkName))];
