/** Connects a running container to a network, disconnects it, and removes what belonged to containers that are gone. */
import { CniError, ErrorCode, errorText, invalidConf, withSecondFailure } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { formats, isEthernetMac, isInterfaceName } from "../config/formats.ts";
import type { JsonObject } from "../config/json.ts";
import {
  type Address,
  compareAddresses,
  contains,
  isIPv4,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../ip/address.ts";
import { addAddress } from "../link/address.ts";
import { inNamespace } from "../link/in-namespace.ts";
import { enableIPv6 } from "../link/ipv6.ts";
import { listLinks, needLink } from "../link/link.ts";
import { setUpLoopback } from "../link/loopback.ts";
import { writeSysctl } from "../link/sysctl.ts";
import { type Connection, NetlinkError } from "../netlink/connection.ts";
import {
  addNetwork,
  cachedAttachment,
  deleteNetwork,
  type Runtime,
  type RuntimeAttachment,
} from "../runtime/network.ts";
import { type NetworkList, parseList, publishesPorts } from "../runtime/network-list.ts";
import { nowMs } from "../sys/clock.ts";
import { isErrno, SystemError } from "../sys/errno.ts";
import { inodeAt } from "../sys/file.ts";
import { isOwnNamespace, type Namespace, NotANamespace, openNamespace, within } from "../sys/namespace.ts";
import { identifiedState, identifyNamespace, type NamespaceIdentity } from "../sys/namespace-identity.ts";
import {
  type AttachedInterface,
  assignedBy,
  attachmentState,
  listAttachments,
  listAttachmentsOf,
  listInterfacesOf,
  listNamesIn,
  type NetworkAttachment,
  withEntry,
} from "./attachment.ts";
import {
  type AttachmentRecord,
  listAllAttachmentRecords,
  removeAttachmentRecord,
  removeInterruptedWrites,
  writeAttachmentRecord,
} from "./attachment-record.ts";
import type { Container } from "./container.ts";
import { orderDefaultRoutes, type RouteOwner } from "./default-route.ts";
import type { NetworkDefinition } from "./definition.ts";
import type { EndpointSysctl } from "./endpoint-options.ts";
import { hasLinks, mayBeLinked, networksWithLinks, placeLinks } from "./link-holes.ts";
import { movePorts, portsPublishedIn } from "./port-holder.ts";
import type { PublishedPort } from "./published-port.ts";
import { withRequested } from "./requested-address.ts";

/** What `connect` was asked for beside network and container. */
export interface ConnectOptions {
  /** Addresses without prefix length; with it where the network's addresses are static. */
  ips: readonly string[];
  /** Addresses of 169.254.0.0/16 and fe80::/10 that the interface has beside its own. */
  linkLocalIps: readonly string[];
  mac: string | undefined;
  interface: string | undefined;
  /** Settings of the interface. */
  sysctls: readonly EndpointSysctl[];
  aliases: readonly string[];
  links: AttachmentRecord["links"];
  /** Ports of the host that lead to ports of the container. */
  ports: readonly PublishedPort[];
  /** DNS servers that are asked for this container's other names, in the place of the host's. */
  dns: readonly string[];
}

/** A network that has plugins. */
export type PluginNetwork = NetworkDefinition & { list: NetworkList };

/**
 * Connects a container.
 *
 * @param tell is called when others' links to the container cannot be opened
 * @throws CniError: it is connected already, an option is wrong, a plugin fails, or its links cannot be opened; then nothing is left
 */
export function connectContainer(
  network: PluginNetwork,
  container: Container,
  options: ConnectOptions,
  runtime: Runtime,
  tell: (text: string) => void,
): void {
  refuseOptions(network, options);
  const namespace = namespaceOf(container);
  if (isOwnNamespace(container.netns)) throw isHost(container);
  const { records } = listAllAttachmentRecords();
  const present = listInterfacesOf(namespace, runtime.cacheRoot);
  if (present.some(({ networkName }) => networkName === network.name)) throw isConnected(network, container);
  if (options.ips.length > 0) refuseTakenAddresses(network, options, runtime);
  const attachment: RuntimeAttachment = {
    containerId: container.id,
    netns: container.netns,
    ifName: interfaceFor(container, options, present),
    args: [["IgnoreUnknown", "1"]],
    capabilityArgs: capabilityArgsOf(options),
  };
  const record = begunRecord({ network, container, namespace, options, attachment });
  writeAttachmentRecord({ ...record, unfinished: "connect" }); // first, so that what a killed connect has made is known to be ours
  const result = addOrForget(withRequested(network, options.ips), attachment, record, runtime);
  try {
    const netns = openNamespace(container.netns);
    inNamespace(netns, (rtnl) => {
      setUpLoopback(rtnl);
      const prefixes = options.linkLocalIps.map(linkLocalIn).filter((address) => address !== undefined);
      if (prefixes.length > 0) addLinkLocals(rtnl, netns, attachment.ifName, prefixes.map(linkPrefix));
      within(netns, () => writeSysctls(options.sysctls, attachment.ifName));
    });
    placeRoutesAndPorts(namespace, [...present, { networkName: network.name, ifName: attachment.ifName }], runtime);
    const connected = { ...record, ...assignedBy(result, attachment.ifName) };
    if (hasLinks(network.name, [...records, record])) openLinks(connected, runtime, tell);
    writeAttachmentRecord(connected);
  } catch (error) {
    undoAfter(error, () => {
      deleteNetwork(network.list, attachment, runtime);
      if (hasLinks(network.name, [...records, record]))
        placeLinks(network.name, runtime.cacheRoot, { disconnecting: record });
      placeRoutesAndPorts(namespace, present, runtime, { again: true });
      removeAttachmentRecord(record);
    });
    throw error;
  }
}

/** Opens what the container's links, and others' links to it, are for. Others' links are no reason why it should not be connected. */
function openLinks(connecting: AttachmentRecord, { cacheRoot }: Runtime, tell: (text: string) => void): void {
  try {
    placeLinks(connecting.networkName, cacheRoot, { connecting });
  } catch (error) {
    if (connecting.links.length > 0 || !isFailure(error)) throw error;
    tell(`links to container ${connecting.containerName} are not open: ${errorText(error)}`);
  }
}

/** Undoes what failed. @throws CniError when that fails too: the first error, and the second one in its details; the record stays */
function undoAfter(error: unknown, undo: () => void): void {
  try {
    undo();
  } catch (failure) {
    const remedy = "correct both: the next command of twill network undoes the rest";
    throw withSecondFailure(error, `could not undo it either: ${errorText(failure)}`, remedy);
  }
}

/** @throws CniError 7: the kernel has no such setting, or refuses the value */
function writeSysctls(sysctls: readonly EndpointSysctl[], ifName: string): void {
  for (const { key, pathFor, value } of sysctls) {
    try {
      writeSysctl(pathFor(ifName), value);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      throw invalidConf(
        `sysctl ${key} of interface ${JSON.stringify(ifName)} cannot be ${JSON.stringify(value)}: ${error.message}`,
        "correct name and value: those that there are stand in /proc/sys/net of the container",
      );
    }
  }
}

/** Adds addresses that are valid on the link alone. */
function addLinkLocals(rtnl: Connection, netns: Namespace, ifName: string, prefixes: readonly Prefix[]): void {
  const link = needLink(rtnl, ifName);
  within(netns, () => enableIPv6(link, prefixes));
  for (const prefix of prefixes) {
    try {
      rtnl.request(addAddress(link.index, prefix, { withoutDetection: true }));
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error; // given twice, or the kernel's own
    }
  }
}

/** With the length that Docker gives it. */
const linkPrefix = (address: Address): Prefix => ({ address, length: isIPv4(address) ? 16 : 64 });

/**
 * Has the network with the default route publish the container's ports.
 *
 * @returns whether one does, where there are ports. @throws CniError of the plugin that fails
 */
function placeRoutesAndPorts(
  namespace: NamespaceIdentity,
  owners: readonly RouteOwner[],
  runtime: Runtime,
  options: { again?: boolean } = {},
): boolean {
  const order = orderDefaultRoutes(namespace.path, owners);
  const ports = portsPublishedIn(namespace.path);
  if (ports.length === 0) return true;
  return movePorts(ports, order, listAttachmentsOf(namespace, runtime.cacheRoot), runtime, options);
}

/** Calls ADD; when it fails, it has left nothing, and the record is removed. */
function addOrForget(
  list: NetworkList,
  attachment: RuntimeAttachment,
  record: AttachmentRecord,
  runtime: Runtime,
): Result {
  try {
    return addNetwork(list, attachment, runtime);
  } catch (error) {
    removeAttachmentRecord(record);
    throw error;
  }
}

/** @throws CniError 3: there is none */
function namespaceOf({ netns }: Container): NamespaceIdentity {
  try {
    return identifyNamespace(netns);
  } catch (error) {
    if (!(error instanceof NotANamespace)) throw error;
    throw new CniError({
      code: ErrorCode.unknownContainer,
      msg: `No such container: ${error.message}`,
      remedy: "the container has ended, or the path is wrong: name a running one (ip netns list, podman ps)",
      cause: error,
    });
  }
}

function refuseOptions(
  network: PluginNetwork,
  { ips, linkLocalIps, mac, interface: ifName, aliases, links, ports }: ConnectOptions,
): void {
  for (const text of ips) {
    if (network.ipam.driver === "static") refuseWithoutLength(network, text);
    else refuseAddress(network, text);
  }
  if (ips.length === 0 && network.ipam.driver === "static")
    throw invalidConf(
      `ipam driver static chooses no address, and none is given for network ${network.name}`,
      "name one, with the length of its subnet, as --ip 10.5.0.9/24",
    );
  for (const text of linkLocalIps) refuseLinkLocal(text);
  if (mac !== undefined && !isEthernetMac(mac))
    throw invalidConf(`invalid MAC ${JSON.stringify(mac)}`, `it must be ${formats.ethernetMac.allowed}`);
  if (mac !== undefined && network.driver === "ipvlan")
    throw invalidConf("containers of driver ipvlan have the MAC of the parent interface", "remove --mac");
  if (ifName !== undefined && !isInterfaceName(ifName))
    throw invalidConf(`invalid interface name ${JSON.stringify(ifName)}`, `it must be ${formats.ifname.allowed}`);
  if (ports.length > 0) refusePorts(network);
  for (const name of [...aliases, ...links.map(({ alias }) => alias)]) refuseAlias(network, name);
}

/** Reports whether a text is a name of DNS: letters, digits, "-", "_", in labels of at most 63 characters, 253 in all (RFC 1035, and Docker's "_"). */
export const isHostName = (text: string): boolean =>
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i.test(text);

/** Docker drops the ports of such networks without a word. */
function refusePorts({ name, internal, driver, list }: PluginNetwork): void {
  if (list.plugins.some(publishesPorts)) return;
  const why = internal
    ? "it is internal"
    : driver === "bridge"
      ? "it has no portmap plugin"
      : `its driver is ${driver}`;
  throw invalidConf(
    `network ${name} publishes no ports: ${why}`,
    "remove the ports (-p, -P), or choose another network",
  );
}

function refuseAlias(network: NetworkDefinition, alias: string): void {
  if (network.name === "bridge")
    throw invalidConf(
      "network-scoped alias is supported only for containers in user defined networks",
      "create a network for it: twill network create",
    );
  if (isHostName(alias)) return;
  throw invalidConf(
    `invalid alias ${JSON.stringify(alias)}`,
    'it must be a host name: letters, digits, "-", "_" and ".", no part of it longer than 63 characters',
  );
}

function refuseAddress({ ipam, name }: NetworkDefinition, text: string): void {
  const address = parseAddress(text);
  if (address === undefined)
    throw invalidConf(`invalid IP address ${JSON.stringify(text)}`, 'write it as "10.5.0.9" or "fd00::9"');
  if (name === "bridge")
    throw invalidConf(
      "user specified IP address is supported on user defined networks only",
      "create a network for it: twill network create --subnet …",
    );
  if (ipam.driver !== "default")
    throw invalidConf(`ipam driver ${ipam.driver} chooses the addresses of network ${name}`, "remove --ip");
  const subnet = ipam.config.find((one) => contains(parsePrefix(one.subnet) ?? noPrefix, address));
  if (subnet === undefined)
    throw invalidConf(
      `Invalid address ${text}: It does not belong to any of this network's subnets`,
      `choose one of ${ipam.config.map((one) => one.subnet).join(" or ")}`,
    );
  const reserved = [["gateway", subnet.gateway ?? ""], ...Object.entries(subnet.auxiliaryAddresses ?? {})] as const;
  const holder = reserved.find(([, other]) => isSame(address, other))?.[0];
  if (holder !== undefined)
    throw invalidConf(
      "Address already in use.",
      `${text} is reserved for ${JSON.stringify(holder)}: choose another one`,
    );
}

/** The plugin static takes nothing else, and knows no subnet. */
function refuseWithoutLength({ name }: NetworkDefinition, text: string): void {
  if (parsePrefix(text) !== undefined) return;
  const address = parseAddress(text);
  if (address === undefined)
    throw invalidConf(`invalid IP address ${JSON.stringify(text)}`, 'write it as "10.5.0.9/24" or "fd00::9/64"');
  throw invalidConf(
    `IP address ${text} has no length of its subnet, which ipam driver static of network ${name} does not know either`,
    `write it as ${text}/${isIPv4(address) ? 24 : 64}`,
  );
}

/** Docker also takes other addresses here, and has no answer for them. */
function refuseLinkLocal(text: string): void {
  if (linkLocalIn(text) !== undefined) return;
  throw invalidConf(
    `Invalid link-local IP address: ${JSON.stringify(text)}`,
    "write an address of 169.254.0.0/16 or fe80::/10; others are chosen with --ip and --ip6",
  );
}

function linkLocalIn(text: string): Address | undefined {
  const address = parseAddress(text);
  const isOne = address !== undefined && linkLocals.some((prefix) => contains(prefix, address));
  return isOne ? address : undefined;
}

/** RFC 3927 and RFC 4291. */
const linkLocals = ["169.254.0.0/16", "fe80::/10"].flatMap((text) => parsePrefix(text) ?? []);

const noPrefix = { address: new Uint8Array(0), length: 0 };

function isSame(address: Address, text: string): boolean {
  const other = parseAddress(text);
  return other !== undefined && compareAddresses(address, other) === 0;
}

function interfaceFor(
  { netns }: Container,
  { interface: wanted }: ConnectOptions,
  present: readonly AttachedInterface[],
): string {
  const names = [...linkNamesIn(netns), ...present.map(({ ifName }) => ifName)];
  if (wanted === undefined) return nextInterface(names);
  if (!names.includes(wanted)) return wanted;
  throw invalidConf(
    `the container has an interface ${JSON.stringify(wanted)} already`,
    "choose another --interface, or leave it out: the next free ethN is used then",
  );
}

/** Returns the ethN behind the highest one in use, as Docker does: a gap stays free. Pure. */
export function nextInterface(names: readonly string[]): string {
  const numbers = names.flatMap((name) => /^eth(\d{1,4})$/.exec(name)?.[1] ?? []).map(Number);
  return `eth${Math.max(-1, ...numbers) + 1}`;
}

const linkNamesIn = (netns: string): string[] =>
  inNamespace(openNamespace(netns), (rtnl) => listLinks(rtnl).map(({ name }) => name));

const capabilityArgsOf = ({ ips, mac, ports }: ConnectOptions): JsonObject => ({
  ...(ips.length > 0 && { ips }),
  ...(mac !== undefined && { mac }),
  ...(ports.length > 0 && { portMappings: ports.map((port) => ({ ...port })) }),
});

interface Begun {
  network: NetworkDefinition;
  container: Container;
  namespace: NamespaceIdentity;
  options: ConnectOptions;
  attachment: RuntimeAttachment;
}

const begunRecord = ({ network, container, namespace, options, attachment }: Begun): AttachmentRecord => ({
  networkId: network.id,
  networkName: network.name,
  internal: network.internal,
  containerId: container.id,
  containerName: container.name,
  namespace,
  ifName: attachment.ifName,
  mac: "",
  addresses: [],
  aliases: options.aliases,
  links: options.links,
  ...(options.dns.length > 0 && { dns: options.dns }),
  connected: new Date(nowMs()).toISOString().replace(/\.\d+Z$/, "Z"),
});

/** Refuses addresses of other containers with Docker's text. An address that is reserved for other reasons is refused by host-local. */
function refuseTakenAddresses(network: NetworkDefinition, { ips }: ConnectOptions, { cacheRoot }: Runtime): void {
  const attachments = listNamesIn(network, cacheRoot);
  for (const text of ips) {
    const address = parseAddress(withoutLength(text));
    const holder = attachments.find(({ addresses }) =>
      addresses.some((one) => address !== undefined && isSame(address, withoutLength(one))),
    );
    if (holder === undefined) continue;
    throw invalidConf(
      "Address already in use.",
      `${text} is the address of container ${holder.containerName} in network ${network.name}: choose another one, or leave --ip out`,
    );
  }
}

const withoutLength = (text: string): string => text.replace(/\/\d+$/, "");

const isHost = ({ netns }: Container): CniError =>
  invalidConf(
    "container sharing network namespace with another container or host cannot be connected to any other network",
    `${netns} is the network namespace of this host: name another container`,
  );

const isConnected = (network: NetworkDefinition, container: Container): CniError =>
  invalidConf(
    `endpoint with name ${container.name} already exists in network ${network.name}`,
    `it is connected; to connect it with other options, disconnect it first: twill network disconnect ${network.name} ${container.name}`,
  );

/** What `disconnect` is about: a container by what the user wrote, and its namespace where that exists. */
export interface DisconnectTarget {
  text: string;
  container: Container | undefined;
}

/**
 * Disconnects a container.
 *
 * @param options.force Remove the record also when plugins fail, or the attachment is another runtime's; failures are told.
 * @throws CniError: it is not connected, its runtime connected it, or a plugin fails
 */
export function disconnectContainer(
  network: NetworkDefinition,
  target: DisconnectTarget,
  options: { force: boolean },
  runtime: Runtime,
  tell: (text: string) => void,
): void {
  const attachment = withEntry(
    attachmentCalled(network, target, listNamesIn(network, runtime.cacheRoot)),
    runtime.cacheRoot,
  );
  if (attachment.record === undefined && !options.force) throw isRuntimes(attachment);
  disconnectAttachment(attachment, () => network.list, options, runtime, tell);
}

/**
 * Deletes an attachment, with what its ADD was given.
 *
 * @param listNow returns the list of its network as it is now, for an attachment of which the cache has none
 * @throws CniError of the plugin that fails, unless forced
 */
export function disconnectAttachment(
  attachment: NetworkAttachment,
  listNow: () => NetworkList | undefined,
  { force }: { force: boolean },
  runtime: Runtime,
  tell: (text: string) => void,
): void {
  const { record } = attachment;
  if (record !== undefined) markUnfinished(record);
  try {
    deleteAttachment(attachment, listNow, runtime);
    if (mayBeLinked(attachment)) placeLinks(attachment.networkName, runtime.cacheRoot, { disconnecting: attachment });
  } catch (error) {
    if (!force) {
      if (record !== undefined) unlessFull(() => writeAttachmentRecord(record));
      throw error;
    }
    tell(errorText(error));
  }
  if (attachmentState(attachment) === "alive") tellPlaced(attachment, runtime, {}, tell);
  if (record !== undefined) removeAttachmentRecord(record);
}

/**
 * Has the networks that are left take over default route and ports. When that fails, the container is disconnected all the same: it may end meanwhile, or its namespace lives in a process alone,
 * and the path leads to none or to another one.
 */
function tellPlaced(
  { containerName, ifName, netns, record }: NetworkAttachment,
  runtime: Runtime,
  options: { again?: boolean },
  tell: (text: string) => void,
): void {
  const tellNotMoved = (why: string) =>
    tell(
      `default route and published ports of container ${containerName} could not be moved to its next network: ${why}`,
    );
  try {
    if (netns === undefined) return;
    const namespace = record?.namespace ?? identifyNamespace(netns);
    const left = listInterfacesOf(namespace, runtime.cacheRoot).filter((one) => one.ifName !== ifName);
    if (inodeAt(netns) !== namespace.inode) {
      if (left.length > 0) tellNotMoved(`its namespace is not at ${netns} any more`);
      return;
    }
    if (!placeRoutesAndPorts(namespace, left, runtime, options))
      tell(
        `the published ports of container ${containerName} lead nowhere: none of its networks publishes ports; connect it to one that does`,
      );
  } catch (error) {
    if (!isFailure(error)) throw error;
    tellNotMoved(errorText(error));
  }
}

const isFailure = (error: unknown): boolean =>
  [CniError, NotANamespace, SystemError, NetlinkError].some((kind) => error instanceof kind);

/** Has the next command go on when this one is killed. */
const markUnfinished = (record: AttachmentRecord): void =>
  unlessFull(() => writeAttachmentRecord({ ...record, unfinished: "disconnect" }));

/** On a full disk a container can be disconnected all the same, which needs no room. */
function unlessFull(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isErrno(error, "ENOSPC", "EDQUOT")) throw error;
  }
}

function attachmentCalled(
  network: NetworkDefinition,
  { text, container }: DisconnectTarget,
  attachments: readonly NetworkAttachment[],
): NetworkAttachment {
  const exact = attachments.filter(({ containerId, containerName, netns }) =>
    [containerId, containerName, netns].includes(text),
  );
  const inode = container === undefined ? undefined : inodeAt(container.netns);
  const same = attachments.filter(
    ({ netns }) => inode !== undefined && netns !== undefined && inodeAt(netns) === inode,
  );
  const begun = attachments.filter(({ containerId }) => text !== "" && containerId.startsWith(text));
  const found = [exact, same, begun].find((list) => list.length > 0) ?? [];
  const [attachment] = found;
  if (attachment !== undefined && found.length === 1) return attachment;
  if (attachment !== undefined)
    throw new CniError({
      code: ErrorCode.unknownContainer,
      msg: `container ${text} is ambiguous (${found.length} matches found in network ${network.name})`,
      remedy: `write the ID: ${found.map(({ containerId, containerName }) => `${containerId} (${containerName})`).join(", ")}`,
    });
  const names = attachments.map(({ containerName }) => containerName);
  throw new CniError({
    code: ErrorCode.unknownContainer,
    msg: `container ${text} is not connected to network ${network.name}`,
    remedy:
      names.length === 0
        ? "no container is (twill network inspect)"
        : `those that are: ${names.join(", ")} (twill network inspect ${network.name})`,
  });
}

const isRuntimes = ({ containerName, containerId }: NetworkAttachment): CniError =>
  invalidConf(
    `container ${containerName} was connected by its runtime, which is going to disconnect it`,
    `use the runtime's command, as podman network disconnect, or stop the container; if the runtime has forgotten it, add -f (container ID ${containerId})`,
  );

/** Runs DEL with what ADD was given. A namespace that is gone is not named: its path may lead to another container. */
function deleteAttachment(
  attachment: NetworkAttachment,
  listNow: () => NetworkList | undefined,
  runtime: Runtime,
): void {
  const { entry } = attachment;
  const cached = entry === undefined ? listNow() : parseList(entry.config, `cached result of ${entry.networkName}`);
  if (cached === undefined) return;
  const isDead = attachmentState(attachment) === "dead";
  const given = entry === undefined ? unknownArguments(attachment) : cachedAttachment(entry);
  deleteNetwork(cached, isDead ? { ...given, netns: undefined } : given, runtime);
}

const unknownArguments = ({ containerId, ifName, netns }: NetworkAttachment): RuntimeAttachment => ({
  containerId,
  ifName,
  netns,
  args: [],
  capabilityArgs: {},
});

/**
 * Removes what `connect` made for containers that are gone, since nobody else calls DEL for it, and what a `connect` or `disconnect` that was killed
 * has left. Failures are told, and tried again the next time. Only for who holds the lock: else a command that is still working looks killed.
 *
 * @returns the names of networks in which containers have links
 */
export function removeLeftAttachments(
  networks: () => readonly NetworkDefinition[],
  runtime: Runtime,
  tell: (text: string) => void,
): string[] {
  removeInterruptedWrites();
  const { records } = listAllAttachmentRecords();
  const linked = networksWithLinks(records);
  if (!records.some(isLeft)) return linked; // as nearly always: the cache, which takes longer to read, is not asked
  const { attachments } = listAttachments(runtime.cacheRoot);
  const attempt = ({ networkName, containerName }: NetworkAttachment, work: () => void): boolean => {
    try {
      work();
      return true;
    } catch (error) {
      tell(
        `could not remove what is left of container ${containerName} in network ${networkName}: ${errorText(error)}`,
      );
      return false;
    }
  };
  const left = attachments.flatMap((attachment) => {
    const { record } = attachment;
    return record !== undefined && isLeft(record) ? { attachment, record } : [];
  });
  const deleted = left.filter(({ attachment }) =>
    attempt(attachment, () =>
      deleteAttachment(attachment, () => networks().find(({ name }) => name === attachment.networkName)?.list, runtime),
    ),
  );
  const closed = new Set<string>();
  for (const { attachment, record } of deleted) {
    const { networkName, containerName } = attachment;
    attempt(attachment, () => {
      if (hasLinks(networkName, records) && !closed.has(networkName)) placeLinks(networkName, runtime.cacheRoot); // before a record goes: by it the next command finds the network
      closed.add(networkName);
      if (!isDead(record)) tellPlaced(attachment, runtime, { again: true }, tell);
      removeAttachmentRecord(record);
      if (record.unfinished === undefined) return;
      const what = record.unfinished === "connect" ? "undid the connect" : "completed the disconnect";
      tell(`${what} of container ${containerName} and network ${networkName}, which was interrupted`);
    });
  }
  return linked;
}

/**
 * Has links open what they are for, also those to containers that a runtime attached meanwhile, or whose rules somebody removed. Failures are told. Only
 * for who holds the lock.
 */
export function keepLinks(networkNames: readonly string[], { cacheRoot }: Runtime, tell: (text: string) => void): void {
  for (const name of networkNames) {
    try {
      placeLinks(name, cacheRoot);
    } catch (error) {
      if (!isFailure(error)) throw error;
      tell(`links between containers of network ${name} are not open: ${errorText(error)}`);
    }
  }
}

const isDead = ({ namespace }: AttachmentRecord): boolean => identifiedState(namespace) === "dead";
const isLeft = (record: AttachmentRecord): boolean => record.unfinished !== undefined || isDead(record);
