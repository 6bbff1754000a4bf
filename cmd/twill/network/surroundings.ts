/** What every command of `twill network` works with: the networks of the host, the runtime, the lock. */
import { CniError, ErrorCode, failureOf } from "../../../pkg/cni/error.ts";
import type { ToolContext } from "../../../pkg/cni/tool.ts";
import { hostConnections } from "../../../pkg/firewall/host-connections.ts";
import { formatPrefix, isUnspecified } from "../../../pkg/ip/address.ts";
import { findLink, listLinks, openRtnetlink } from "../../../pkg/link/link.ts";
import { destinationOf, listRoutes } from "../../../pkg/link/route.ts";
import { AF_INET, AF_INET6 } from "../../../pkg/netlink/rtnetlink/family.ts";
import {
  listAttachmentRecords,
  readingRecordsOnce,
  removeRecordDirectory,
  stateDirectory,
} from "../../../pkg/network/attachment-record.ts";
import { keepLinks, type PluginNetwork, removeLeftAttachments } from "../../../pkg/network/connect.ts";
import { definitionOf, type NetworkDefinition, networksWithoutPlugins } from "../../../pkg/network/definition.ts";
import { lostNetworks } from "../../../pkg/network/lost-network.ts";
import {
  networkCalled,
  networkFile,
  ownNetworkCalled,
  readNetworks,
  removeNetwork,
  writeNetwork,
} from "../../../pkg/network/network-directory.ts";
import { type HostRoute, newDefaultBridge } from "../../../pkg/network/new-network.ts";
import { removeEndedRuns } from "../../../pkg/network/run-record.ts";
import { defaultPools } from "../../../pkg/network/subnet.ts";
import type { SyncAnswer } from "../../../pkg/resolver/control.ts";
import { isAnyServed } from "../../../pkg/resolver/served.ts";
import { type ResolverPaths, resolverPaths, startResolverIfNeeded, syncResolver } from "../../../pkg/resolver/start.ts";
import type { Runtime } from "../../../pkg/runtime/network.ts";
import { loadList } from "../../../pkg/runtime/network-list.ts";
import { defaultCacheRoot } from "../../../pkg/runtime/result-cache.ts";
import { nowMs } from "../../../pkg/sys/clock.ts";
import { isErrno } from "../../../pkg/sys/errno.ts";
import { isWritableDirectory, withDirectoryLock } from "../../../pkg/sys/file.ts";
import { configDirectory, pluginPathOrUsual } from "../../cnitool/paths.ts";

export interface Host {
  directory: string;
  /** All networks; read when they are first asked for. */
  readonly networks: readonly NetworkDefinition[];
  runtime: Runtime;
  /** For calls of plugins for many attachments or networks: they share connections. */
  runtimeForMany: Runtime;
  warn(text: string): void;
}

/** In the time of all changes before: each takes some milliseconds, but seconds where a hundred of them compete for two processors. */
const LOCK_TIMEOUT_MS = 300_000;

/** Runs `work` on the networks of the host, once what is left of containers that are gone is removed; nobody changes networks meanwhile. */
export function onHost<T>(context: ToolContext, work: (host: Host) => T, program = "twill network"): T {
  return whenFree(() => {
    const host = hostOf(context, program);
    removeEndedRuns();
    const linked = removeLeftAttachments(() => host.networks, host.runtimeForMany, host.warn);
    const done = work(host);
    keepLinks(linked, host.runtime, host.warn);
    answerNames(host, startResolverIfNeeded);
    return done;
  });
}

/** Runs `work` while nobody else changes networks; it may remove the directory with all that is in it. @throws CniError 11: others have not ended in time */
export function whenFree<T>(work: () => T): T {
  let isOurs = false;
  try {
    return withDirectoryLock(stateDirectory, { mode: 0o755, timeoutMs: LOCK_TIMEOUT_MS }, () => {
      isOurs = true;
      return readingRecordsOnce(work);
    });
  } catch (error) {
    if (isOurs || !isErrno(error, "EAGAIN")) throw error;
    throw new CniError({
      code: ErrorCode.tryAgainLater,
      msg: `other commands of twill have been changing networks for ${LOCK_TIMEOUT_MS / 1000} s`,
      remedy: `wait and try again; fuser -v ${stateDirectory} shows who has the lock`,
      cause: error,
    });
  }
}

/** Runs `work`, which changes nothing: for who may not change the host either, on what can be read of it. */
export const lookAtHost = <T>(context: ToolContext, work: (host: Host) => T): T =>
  isWritableDirectory(stateDirectory) ? onHost(context, work) : work(hostOf(context, "twill network"));

function hostOf({ plugins, streams }: ToolContext, program: string): Host {
  const warn = (text: string): void => streams.stderr(`${program}: ${text}\n`);
  const directory = configDirectory(streams.environment);
  const path = pluginPathOrUsual(streams.environment);
  const runtime = { path, cacheRoot: defaultCacheRoot, delegates: plugins };
  let networks: readonly NetworkDefinition[] | undefined;
  return {
    directory,
    get networks() {
      networks ??= readNetworks(directory, warn);
      return networks;
    },
    runtime,
    runtimeForMany: { ...runtime, host: hostConnections() },
    warn,
  };
}

/** Finds the network that is meant. @param container what stands behind it. @throws CniError 7: there is none, or several IDs begin so */
export const findNetwork = (text: string, host: Host, container?: string): NetworkDefinition =>
  ownNetworkCalled(text, host.directory, host.warn) ?? networkCalled(text, host.networks, container);

/**
 * Finds the network that is meant, also one whose file is gone while containers are attached to it.
 *
 * @param container what stands behind it
 * @throws CniError 7: there is none, or several IDs begin so
 */
export const findAttachedNetwork = (text: string, host: Host, container: string): NetworkDefinition =>
  ownNetworkCalled(text, host.directory, host.warn) ??
  networkCalled(text, [...host.networks, ...lostNetworks(host.networks, host.runtime.cacheRoot)], container);

/** Has the resolver answer the names of the attachments that there are now; a container without names is a connected one all the same. */
export function syncNames(host: Host): void {
  if (isAnyServed(resolverPaths.attachments)) answerNames(host, syncResolver); // if not, it finds out itself, and ends
}

function answerNames({ warn }: Host, ask: (paths: ResolverPaths) => SyncAnswer | undefined): void {
  try {
    for (const problem of ask(resolverPaths)?.problems ?? []) warn(problem);
  } catch (error) {
    warn(`names of containers are not answered: ${failureOf(error).message}`);
  }
}

/** Returns the host's routes to networks, and the links that they lead through. */
export function hostRoutes(): HostRoute[] {
  const rtnl = openRtnetlink();
  const names = new Map(listLinks(rtnl).map(({ index, name }) => [index, name]));
  return [AF_INET, AF_INET6]
    .flatMap((family) => listRoutes(rtnl, family))
    .filter(({ destination }) => destination !== undefined && !isUnspecified(destination))
    .map((route) => {
      const prefix = destinationOf(route);
      const link = route.outputIndex === undefined ? undefined : names.get(route.outputIndex);
      return { prefix, link, by: `the route ${formatPrefix(prefix)}${link === undefined ? "" : ` through ${link}`}` };
    });
}

export const hostHasLink = (name: string): boolean => findLink(openRtnetlink(), name) !== undefined;

/**
 * Runs `work`, which connects a container to the network. "bridge" gets its subnet and file for that, which go again when it fails.
 *
 * @throws CniError 7: "host" and "none"
 */
export function withConnectable<T>(network: NetworkDefinition, host: Host, work: (network: PluginNetwork) => T): T {
  const { list, name } = network;
  if (list !== undefined) return work({ ...network, list });
  refuseWithoutPlugins(network);
  const { directory } = host;
  const around = { networks: host.networks, routes: hostRoutes(), pools: defaultPools, hasLink: hostHasLink };
  const { document } = newDefaultBridge(around, new Date(nowMs()).toISOString());
  const made = loadList(writeNetwork(directory, name, document));
  const definition = { ...definitionOf(made, networkFile(directory, name)), list: made };
  try {
    return work(definition);
  } catch (error) {
    const { records, damaged } = listAttachmentRecords(definition.id);
    if (records.length === 0 && damaged.length === 0) {
      removeRecordDirectory(definition.id);
      removeNetwork(definition);
    }
    throw error;
  }
}

/** Refuses "host" and "none", to which nothing can be connected. @throws CniError 7, with Docker's text */
export function refuseWithoutPlugins({ name }: NetworkDefinition): void {
  if (!networksWithoutPlugins.some((network) => network.name === name)) return;
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg:
      name === "host"
        ? "container cannot be disconnected from host network or connected to host network"
        : "container cannot be connected to multiple networks with one of the networks in private (none) mode",
    remedy: "choose another network (twill network ls)",
  });
}
