/** The container of a command: its namespace, what it is connected to, its files; and how all of it is taken back. */
import { invalidConf } from "../../../pkg/cni/error.ts";
import { newHosts, newResolvConf } from "../../../pkg/dns/resolv-conf.ts";
import { parseAddress } from "../../../pkg/ip/address.ts";
import { withRtnetlink } from "../../../pkg/link/in-namespace.ts";
import { setUpLoopback } from "../../../pkg/link/loopback.ts";
import { listAttachments } from "../../../pkg/network/attachment.ts";
import { listAllAttachmentRecords, listAttachmentRecords } from "../../../pkg/network/attachment-record.ts";
import { disconnectAttachment, type PluginNetwork } from "../../../pkg/network/connect.ts";
import { type Container, containerCalled, shortContainerId } from "../../../pkg/network/container.ts";
import { OptionName } from "../../../pkg/network/driver-options.ts";
import { networkCalled } from "../../../pkg/network/network-directory.ts";
import {
  choosePorts,
  collide,
  type PortRequest,
  type PublishedPort,
  publishedPortsIn,
} from "../../../pkg/network/published-port.ts";
import { isNameTaken, type RunMode } from "../../../pkg/network/run-mode.ts";
import {
  fileNames,
  listRuns,
  type RunRecord,
  removeRun,
  runDirectory,
  startOf,
  writeRun,
  writeRunFiles,
} from "../../../pkg/network/run-record.ts";
import { hasNames } from "../../../pkg/resolver/served.ts";
import { isErrno } from "../../../pkg/sys/errno.ts";
import { closeFile, findStat, findText } from "../../../pkg/sys/file.ts";
import { bindUdp, listenTcp } from "../../../pkg/sys/inet-socket.ts";
import { makeNamespace, type Namespace, openNamespace } from "../../../pkg/sys/namespace.ts";
import { processId } from "../../../pkg/sys/process.ts";
import { randomHex } from "../../../pkg/sys/random.ts";
import { updateContainerFiles } from "../network/container-files.ts";
import { connectOnHost } from "../network/endpoint.ts";
import { findNetwork, type Host, syncNames, withConnectable } from "../network/surroundings.ts";
import { type LinkedContainer, linkVariables } from "./link-variables.ts";
import type { RunRequest } from "./request.ts";

export interface Prepared {
  record: RunRecord;
  /** undefined: the host's. */
  netns: Namespace | undefined;
  hostName: string;
  files: { source: string; target: string }[];
  /** Variables that tell of links, as on Docker's default network. */
  variables: Record<string, string>;
}

const ID_BYTES = 32;

/** Makes everything that the command needs. @throws CniError; then nothing of it is left */
export function prepare(request: RunRequest, host: Host): Prepared {
  const { mode } = request;
  const id = randomHex(ID_BYTES);
  const name = request.name ?? shortContainerId(id);
  const taken = listRuns().find((run) => run.name === name);
  if (taken !== undefined) throw isNameTaken(name, taken.id);
  if (mode.kind === "container") return joining(containerCalled(mode.container), { id, name }, host);
  const netns = mode.kind === "host" ? undefined : makeNamespace();
  const hostName = request.hostName ?? (mode.kind === "host" ? ownHostName() : shortContainerId(id));
  const path = netns === undefined ? "/proc/self/ns/net" : `/proc/${processId()}/fd/${netns.fd}`;
  const record = recordOf({ id, name, hostName, netns: path, files: runDirectory(name) }, request);
  if (netns !== undefined) bringLoopbackUp(netns);
  const links = linkedContainers(mode, request.links, host);
  writeRunFiles(name, {
    hostname: `${hostName}\n`,
    hosts: mode.kind === "host" ? hostsOfHost(hostName) : newHosts(usesHosts(mode) ? links.flatMap(hostsOfLink) : []),
    "resolv.conf": newResolvConf(
      findText("/etc/resolv.conf") ?? "",
      { servers: request.dns, search: request.dnsSearch },
      mode.kind === "host",
    ),
  });
  writeRun(record);
  try {
    if (mode.kind === "network") connect(mode.network, request, record, host);
    else if (request.published.length > 0 || request.publishAll)
      host.warn(`Published ports are discarded when using ${mode.kind} network mode`);
  } catch (error) {
    removeRun(name);
    throw error;
  }
  const variables = usesHosts(mode) ? Object.assign({}, ...links.map((link) => linkVariables(name, link))) : {};
  return { record, netns, hostName, files: mountsOf(record, host), variables };
}

function bringLoopbackUp(netns: Namespace): void {
  withRtnetlink(netns, setUpLoopback);
}

/** As in Docker, links of the default network are lines of hosts and variables, since its containers have no names. */
const usesHosts = (mode: RunMode): boolean => mode.kind === "network" && mode.network === "bridge";

const hostsOfLink = ({ alias, record: { addresses, containerId, containerName } }: LinkedContainer) =>
  addresses.map((address) => ({
    address: address.replace(/\/\d+$/, ""),
    names: [...new Set([alias, shortContainerId(containerId), containerName])],
  }));

const ownHostName = (): string => (findText("/proc/sys/kernel/hostname") ?? "localhost").trim();

/** On the host's network, the host's names count; its own name is added where it is another one. */
function hostsOfHost(hostName: string): string {
  const text = findText("/etc/hosts") ?? newHosts([]);
  return hostName === ownHostName() ? text : `${text.replace(/\n?$/, "\n")}127.0.1.1\t${hostName}\n`;
}

/** Shares the namespace of another container, with its host name and files. */
function joining(
  { netns: path, name: other }: Container,
  { id, name }: Pick<RunRecord, "id" | "name">,
  host: Host,
): Prepared {
  const shared = listRuns().find((run) => run.name === other);
  const hostName = shared?.hostName ?? ownHostName();
  const files = shared?.files ?? runDirectory(name);
  const netns = openNamespace(path);
  if (shared === undefined) {
    writeRunFiles(name, {
      hostname: `${hostName}\n`,
      hosts: newHosts([]),
      "resolv.conf": newResolvConf(findText("/etc/resolv.conf") ?? "", { servers: [], search: [] }, false),
    });
  }
  const record = recordOf({ id, name, hostName, netns: path, files }, { exposed: [], published: [] });
  writeRun(record);
  if (shared === undefined) {
    const inode = String(findStat(path)?.inode);
    const networks = listAllAttachmentRecords().records.filter(({ namespace }) => namespace.inode === inode);
    for (const { networkId, networkName } of networks)
      updateContainerFiles({ id: networkId, name: networkName }, path, host);
  }
  return { record, netns, hostName, files: mountsOf(record, host), variables: {} };
}

type OwnPart = Omit<RunRecord, "process" | "started" | "exposed" | "published">;

function recordOf(own: OwnPart, { exposed, published }: Pick<RunRequest, "exposed" | "published">): RunRecord {
  const process = String(processId());
  const ports = [...exposed, ...published].map(({ containerPort, protocol }) => `${containerPort}/${protocol}`);
  return { ...own, process, started: startOf(process) ?? "", exposed: [...new Set(ports)], published: [] };
}

/** Returns what is mounted over files of the host; one that the host has not is not seen by the command either. */
function mountsOf({ files }: RunRecord, { warn }: Host): { source: string; target: string }[] {
  return fileNames.flatMap((name) => {
    const [source, target] = [`${files}/etc/${name}`, `/etc/${name}`];
    if (findStat(target)?.type === "file") return [{ source, target }];
    warn(`the command sees no ${target} of its own: the host has no such file (touch ${target})`);
    return [];
  });
}

const connect = (text: string, request: RunRequest, record: RunRecord, host: Host): void =>
  withConnectable(findNetwork(text, host), host, (network) => connectTo(network, request, record, host));

function connectTo(network: PluginNetwork, request: RunRequest, record: RunRecord, host: Host): void {
  const isDefault = network.name === "bridge";
  const { id, name, netns, hostName } = record;
  const aliases = [...request.aliases, ...(isDefault || request.hostName === undefined ? [] : [hostName])];
  const ports = portsOf(network, request, host);
  const options = {
    ips: request.ips,
    linkLocalIps: request.linkLocalIps,
    mac: request.mac,
    interface: undefined,
    sysctls: [],
    aliases,
    links: isDefault ? [] : request.links,
    ports,
    dns: request.dns,
  };
  writeRun({ ...record, published: ports });
  connectOnHost(network, { id, name, netns }, options, host);
}

/** Finds the containers that links name. @throws CniError 7 with Docker's texts */
function linkedContainers(mode: RunMode, links: RunRequest["links"], { networks }: Host): LinkedContainer[] {
  if (mode.kind !== "network" || links.length === 0) return [];
  const { id, name } = networkCalled(mode.network, networks);
  const { records } = listAttachmentRecords(id);
  return links.map(({ container, alias }) => {
    const record = records.find((one) =>
      [one.containerName, one.containerId, shortContainerId(one.containerId)].includes(container),
    );
    if (record === undefined) {
      const names = records.map((one) => one.containerName).join(", ");
      throw invalidConf(
        `Cannot link to /${container}, as it does not belong to network ${name}`,
        names === "" ? "start it first, with --network" : `start it first, or use one of ${names}`,
      );
    }
    const exposed = listRuns().find((run) => run.id === record.containerId)?.exposed ?? [];
    return { alias, record, exposed };
  });
}

/** Chooses the ports of the host that are published. */
function portsOf(
  network: PluginNetwork,
  { published, exposed, publishAll }: RunRequest,
  { runtime }: Host,
): PublishedPort[] {
  const isPublished = (port: PortRequest) =>
    published.some((other) => other.containerPort === port.containerPort && other.protocol === port.protocol);
  const wanted = [...published, ...(publishAll ? exposed.filter((port) => !isPublished(port)) : [])];
  if (wanted.length === 0) return [];
  const binding = network.options[OptionName.hostBinding];
  const hostIP = binding === undefined || binding === "0.0.0.0" ? undefined : binding;
  const taken = [
    ...listAttachments(runtime.cacheRoot).attachments.flatMap(({ entry }) =>
      publishedPortsIn(entry?.capabilityArgs["portMappings"]),
    ),
    ...listRuns().flatMap((run) => run.published), // also while none of their networks publishes them
  ];
  return choosePorts(
    wanted.map((port) => ({ ...port, hostIP: port.hostIP ?? hostIP })),
    automaticPorts(),
    (port) => !taken.some((other) => collide(port, other)) && canBeBound(port),
  );
}

/** The kernel's range for ports that nobody asks for by number, 32768 to 60999. */
function automaticPorts(): [from: number, to: number] {
  const [from = 32768, to = 60999] = (findText("/proc/sys/net/ipv4/ip_local_port_range") ?? "")
    .trim()
    .split(/\s+/)
    .map(Number);
  return [from, to];
}

/** Reports whether no program of the host has the port, by taking it for a moment. */
function canBeBound({ protocol, hostPort: port, hostIP }: PublishedPort): boolean {
  const address = parseAddress(hostIP ?? "0.0.0.0");
  if (address === undefined || protocol === "sctp") return true; // the portmap plugin says the rest
  try {
    closeFile(protocol === "udp" ? bindUdp({ address, port }) : listenTcp({ address, port }, 1));
    return true;
  } catch (error) {
    if (isErrno(error, "EADDRINUSE")) return false;
    throw error;
  }
}

/** Takes back all that the container has, also the networks that it was connected to later. */
export function takeBack({ record, netns }: Prepared, host: Host): void {
  const { attachments } = listAttachments(host.runtime.cacheRoot);
  const own = attachments.filter((one) => one.record?.containerId === record.id);
  removeRun(record.name); // first: its ports are not to be published through the networks that are still to go
  for (const attachment of own) {
    const listNow = () => host.networks.find(({ name }) => name === attachment.networkName)?.list;
    disconnectAttachment(attachment, listNow, { force: true }, host.runtime, host.warn);
  }
  if (own.some((one) => one.record !== undefined && hasNames(one.record))) syncNames(host);
  if (netns !== undefined) closeFile(netns.fd);
}
