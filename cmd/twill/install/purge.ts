/**
 * `twill uninstall --purge`: removes what twill has made on this node, by its marks: links by their alias, rules by the attachment that their
 * comments name, each by the whole key, what `twill network connect` has recorded, and twill's own tables, records and index. What the
 * reference plugins, Docker or podman made has none of these marks, and stays. Bridges have no mark: they are named, and left.
 */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { runAllSteps } from "../../../pkg/cni/best-effort-del.ts";
import { CniError, ErrorCode, errorText, failureOf } from "../../../pkg/cni/error.ts";
import { PluginNotStarted } from "../../../pkg/cni/find-executable.ts";
import type { HostConnections } from "../../../pkg/cni/plugin.ts";
import type { ToolContext } from "../../../pkg/cni/tool.ts";
import { oneLine } from "../../../pkg/command-line/table.ts";
import { FAMILIES } from "../../../pkg/firewall/family.ts";
import { revokeForwarding } from "../../../pkg/firewall/forwarding/forwarding.ts";
import { CONTAINERS, TABLE as FORWARDING, hasOthersContent } from "../../../pkg/firewall/forwarding/nftables-table.ts";
import { hostConnections } from "../../../pkg/firewall/host-connections.ts";
import { linkTableOf, networksWithLinkHoles } from "../../../pkg/firewall/links/link-table.ts";
import { removeMacSpoofCheck } from "../../../pkg/firewall/mac-spoof-check.ts";
import { listMarkedRules, ownersFor } from "../../../pkg/firewall/marked-rules.ts";
import { removeMasquerade } from "../../../pkg/firewall/masquerade/masquerade.ts";
import { deleteTable, findTable } from "../../../pkg/firewall/nftables/ruleset.ts";
import { listElements } from "../../../pkg/firewall/nftables/set.ts";
import { edit } from "../../../pkg/firewall/nftables/transaction.ts";
import { isInUse as isHostPortTableInUse, TABLES } from "../../../pkg/firewall/portmap/nftables-table.ts";
import { deletePortMappings } from "../../../pkg/firewall/portmap/portmap.ts";
import { withReservationsIn } from "../../../pkg/ipam/host-local/pool.ts";
import { defaultDataDir } from "../../../pkg/ipam/host-local/reservation-directory.ts";
import { releaseAll } from "../../../pkg/ipam/host-local/reservations-by-owner.ts";
import { inNamespace } from "../../../pkg/link/in-namespace.ts";
import { findLink, listLinks, openRtnetlink } from "../../../pkg/link/link.ts";
import { deleteOwnedLinks, isAnothersOf, ownerOf } from "../../../pkg/link/owner.ts";
import { connect, NETLINK_NETFILTER } from "../../../pkg/netlink/connection.ts";
import {
  type AttachmentRecord,
  listAllAttachmentRecords,
  removeAttachmentRecord,
  removeRecordDirectory,
  stateDirectory,
} from "../../../pkg/network/attachment-record.ts";
import { listRuns } from "../../../pkg/network/run-record.ts";
import { requestStop } from "../../../pkg/resolver/control.ts";
import { dnsnameRoot, readDnsnameRecords } from "../../../pkg/resolver/dnsname-record.ts";
import { isGone } from "../../../pkg/resolver/served.ts";
import { resolverPaths } from "../../../pkg/resolver/start.ts";
import { installedRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";
import { cachedAttachment, deleteNetwork } from "../../../pkg/runtime/network.ts";
import { type NetworkList, parseList } from "../../../pkg/runtime/network-list.ts";
import { nameOf } from "../../../pkg/runtime/result-cache.ts";
import { findDirectory, findStat } from "../../../pkg/sys/file.ts";
import { lazy } from "../../../pkg/sys/lazy.ts";
import { findNamespace } from "../../../pkg/sys/namespace.ts";
import { identifiedState } from "../../../pkg/sys/namespace-identity.ts";
import type { NamespaceState } from "../../../pkg/sys/namespace-state.ts";
import { isListenedTo } from "../../../pkg/sys/unix-socket.ts";
import { whenFree } from "../network/surroundings.ts";
import {
  type CachedAttachment,
  keyOf,
  ownerOfEntry,
  ownersOfDamaged,
  readAttachments,
} from "../node/cached-attachments.ts";
import { allPluginDirectories } from "../node/config-directories.ts";
import { configuredLists } from "../node/configured-lists.ts";
import { reservationDirectories } from "../node/leftovers.ts";
import { goneByMarks } from "./gone-by-marks.ts";
import { removeTree } from "./tree.ts";

export interface PurgeOptions {
  /** Only this network's; undefined: of all. */
  network: string | undefined;
  /** Whether attachments of containers that run, or may run, are deleted as well. */
  force: boolean;
  isDryRun: boolean;
}

interface PurgedAttachment {
  owner: AttachmentId;
  /** undefined: no runtime remembers it. */
  cached: CachedAttachment | undefined;
  /** What `twill network connect` wrote; undefined: a runtime attached it. */
  record: AttachmentRecord | undefined;
  state: NamespaceState;
}

/** @returns whether all could be done @throws CniError 7: containers run, and `force` is not set. 11: other commands change networks */
export function purge(options: PurgeOptions, context: ToolContext): boolean {
  if (options.isDryRun || findStat(stateDirectory) === undefined) return purgeNow(options, context);
  return whenFree(() => purgeNow(options, context));
}

function purgeNow(options: PurgeOptions, context: ToolContext): boolean {
  const { network, force } = options;
  const { environment } = context.streams;
  const installed = installedRuntimes();
  const attachments = markedAttachments(
    options,
    configuredLists(installed, environment, (text) => context.streams.stderr(`twill uninstall: ${text}\n`)).map(
      ({ list }) => list,
    ),
  );
  const living = attachments.filter(({ state }) => state === "alive" || state === "unknown");
  const users = [...living.map(describe), ...(network === undefined ? otherUsers(living) : [])];
  if (users.length > 0 && !force) throw isInUse(users);
  const path = allPluginDirectories(installed, environment);
  const surroundings = { path, host: hostConnections(), context };
  const deletions = attachments.map((attachment) => deletionOf(attachment, surroundings));
  const state = stateSteps(options);
  const tables = tableSteps(options);
  const { stdout, stderr } = context.streams;
  if (deletions.length + state.length + tables.length === 0) {
    stdout(
      `nothing that has a mark of twill's is left${network === undefined ? "" : ` of network ${oneLine(network)}`}\n`,
    );
    return true;
  }
  const isDone = (steps: readonly Step[]) => steps.map((step) => isPerformed(step, options, context)).every(Boolean);
  const areDeleted = isDone(deletions);
  if (!areDeleted && state.length > 0)
    stderr(`twill uninstall: kept ${state.map(({ what }) => oneLine(what)).join(", ")}: attachments are left\n`);
  const isStateGone = !areDeleted || isDone(state);
  return isDone(tables) && areDeleted && isStateGone;
}

interface Step {
  what: string;
  /** In front of a dry run's end of line: what the step depends on. */
  unless?: string;
  /** @returns why there was nothing to do, or undefined. */
  run(): string | undefined;
}

/** @returns whether it has not failed */
function isPerformed({ what, unless = "", run }: Step, { isDryRun }: PurgeOptions, { streams }: ToolContext): boolean {
  const { stdout, stderr } = streams;
  if (isDryRun) {
    stdout(`would remove ${oneLine(what)}${unless}\n`);
    return true;
  }
  try {
    const why = run();
    stdout(why === undefined ? `removed ${oneLine(what)}\n` : `kept ${oneLine(what)}: ${why}\n`);
    return true;
  } catch (error) {
    stderr(`twill uninstall: could not remove ${oneLine(what)}: ${failureOf(error).message}\n`);
    return false;
  }
}

/** Returns the attachments that have a mark of twill's: a link, a rule of which only twill makes such, or a record of `connect`. */
function markedAttachments({ network }: PurgeOptions, configured: readonly NetworkList[]): PurgedAttachment[] {
  const { attachments, damaged } = readAttachments();
  const records = new Map(
    listAllAttachmentRecords().records.map((record) => [keyOf(ownerOfEntry(record)), record] as const),
  );
  const links = listLinks(openRtnetlink());
  const owners = links.flatMap((link) => ownerOf(link) ?? []);
  const linked = new Set(owners.map(keyOf));
  const allRules = listMarkedRules(connect(NETLINK_NETFILTER));
  const rules = allRules.filter(({ isTwills }) => isTwills);
  const cached = attachments.map((one): PurgedAttachment => {
    const owner = ownerOfEntry(one.entry);
    const record = records.get(keyOf(owner));
    return { owner, cached: one, record, state: record === undefined ? one.state : identifiedState(record.namespace) };
  });
  const named = new Set(rules.flatMap(({ owner }) => (owner === undefined ? [] : keyOf(owner))));
  const cut = rules.filter(({ owner }) => owner === undefined);
  const isMarked = ({ owner, record }: PurgedAttachment): boolean => {
    const key = keyOf(owner);
    if (record !== undefined || linked.has(key) || named.has(key)) return true;
    const owners = ownersFor(cut.length > 0 ? [owner] : []);
    return cut.some((rule) => rule.isOf(owners));
  };
  const known = new Set(cached.map(({ owner }) => keyOf(owner)));
  const others = new Map(
    [...owners, ...rules.flatMap(({ owner }) => owner ?? []), ...[...records.values()].map(ownerOfEntry)]
      .filter((owner) => !known.has(keyOf(owner)))
      .map((owner) => [keyOf(owner), owner]),
  );
  const mayBeCached = new Set(ownersOfDamaged(damaged).map(keyOf));
  const isGone = goneByMarks({ links, rules: allRules, configured });
  return [
    ...cached.filter(isMarked),
    ...[...others].map(([key, owner]): PurgedAttachment => {
      const record = records.get(key);
      if (record !== undefined) return { owner, cached: undefined, record, state: identifiedState(record.namespace) };
      const state = mayBeCached.has(key) || !isGone(owner) ? "unknown" : "dead";
      return { owner, cached: undefined, record, state };
    }),
  ].filter(({ owner }) => network === undefined || owner.network === network);
}

const describe = ({ owner: { network, containerId, ifName }, cached, state }: PurgedAttachment): string => {
  const why = cached === undefined ? "no readable entry of a runtime names it: " : "";
  return `${network} ${containerId} ${ifName}${state === "unknown" ? ` (${why}whether it runs is unknown)` : ""}`;
};

/** Returns who else uses twill's files: commands of `twill run`, containers whose names are answered, and those whose records cannot be read. */
function otherUsers(living: readonly PurgedAttachment[]): string[] {
  const containers = new Set(living.map(({ owner }) => owner.containerId));
  const keys = new Set(living.map(({ owner }) => keyOf(owner)));
  const answered = [...readDnsnameRecords(dnsnameRoot)];
  const named = answered.flatMap((one) => ("reason" in one || isGone(one.namespace) ? [] : one));
  const damaged = answered.flatMap((one) => ("reason" in one ? one : []));
  return [
    ...listRuns()
      .filter(({ id }) => !containers.has(id))
      .map(({ name }) => `twill run, ${name}`),
    ...named
      .filter((one) => !keys.has(keyOf(one)))
      .map(({ network, containerId, ifName }) => `${network} ${containerId} ${ifName} (plugin dnsname)`),
    ...[...listAllAttachmentRecords().damaged, ...damaged].map(
      ({ path, reason }) => `${path} (${reason}: whether it runs is unknown)`,
    ),
  ];
}

function isInUse(users: readonly string[]): CniError {
  return new CniError({
    code: ErrorCode.invalidConfig,
    msg: `${users.length} containers have interfaces or files that twill has made, and would lose their network`,
    details: users.join("; "),
    remedy:
      "stop them first; see that those of which it is unknown are gone, then add --force, which takes away the network of what still runs; twill uninstall without --purge leaves it to them",
  });
}

interface Surroundings {
  /** Directories of plugins, in order. */
  path: readonly string[];
  host: HostConnections;
  context: ToolContext;
}

function deletionOf(attachment: PurgedAttachment, surroundings: Surroundings): Step {
  const { owner, cached, record } = attachment;
  const { host } = surroundings;
  const { network, containerId, ifName } = owner;
  const name = `${network} ${containerId} ${ifName}`;
  return {
    what: `the attachment ${name}`,
    run() {
      const netfilter = host.netfilter();
      runAllSteps([
        ["run DEL of its plugins", () => deleteCached(attachment, surroundings)],
        ["remove its masquerade", () => removeMasquerade(owner, [], netfilter)],
        ["remove its host ports", () => deletePortMappings(owner, [], { legacy: true, upstream: false }, netfilter)],
        ["remove its forwarding rules", () => revokeForwarding(owner, nothingTold, anyBackend, netfilter)],
        ["remove its MAC spoof check", () => removeMacSpoofCheck(owner, isAnothersOf(owner, host.rtnl), netfilter)],
        ["delete its links", () => deleteOwnedLinks(host.rtnl(), owner)],
        ["delete its link in the container", () => deleteConnectedLink(attachment)],
        ["release its addresses", () => release(owner, `${defaultDataDir}/${network}`)],
        [
          "release its addresses of other directories",
          () => {
            for (const directory of directoriesOf(cached)) release(owner, directory);
          },
        ],
      ]);
      if (record === undefined) return undefined;
      removeAttachmentRecord(record);
      removeRecordDirectory(record.networkId);
      return undefined;
    },
  };
}

const nothingTold = { addresses: [], bridge: undefined };
const anyBackend = { backend: undefined, zone: "trusted" };

/** Does what the runtime's DEL would do, as far as the plugins of its configuration are there. */
function deleteCached(
  { cached, record, state }: PurgedAttachment,
  { path, host, context: { plugins, streams } }: Surroundings,
): void {
  if (cached === undefined) return;
  const { entry, cacheRoot } = cached;
  const given = cachedAttachment(entry);
  const isGone = record !== undefined && state === "dead"; // its path may lead to another container
  try {
    const list = parseList(entry.config, `cached result of ${nameOf(entry)}`);
    deleteNetwork(list, isGone ? { ...given, netns: undefined } : given, { path, cacheRoot, delegates: plugins, host });
  } catch (error) {
    if (!isOfMissingPlugin(error)) throw error;
    streams.stderr(
      `twill uninstall: ${oneLine(nameOf(entry))}: what a missing plugin made stays: ${errorText(error)}\n`,
    );
  }
}

const isOfMissingPlugin = (error: unknown): boolean =>
  error instanceof PluginNotStarted
    ? error.code !== ErrorCode.tryAgainLater
    : error instanceof Error && isOfMissingPlugin(error.cause);

/** Deletes a link that is marked inside, as macvlan's, when no plugin could. The path may lead to another container by now, where no link has the mark. */
function deleteConnectedLink({ owner, record }: PurgedAttachment): void {
  const namespace = findNamespace(record?.namespace.path);
  if (namespace !== undefined) inNamespace(namespace, (rtnl) => deleteOwnedLinks(rtnl, owner));
}

/** Returns the directories of reservations that the configuration of an attachment names. */
function directoriesOf(cached: CachedAttachment | undefined): string[] {
  if (cached === undefined) return [];
  const { entry } = cached;
  return reservationDirectories(
    entry.networkName,
    parseList(entry.config, `cached result of ${nameOf(entry)}`).plugins,
  );
}

function release({ network, containerId, ifName }: AttachmentId, directory: string): void {
  withReservationsIn(directory, network, (pool) => releaseAll(pool, { containerId, ifName }, []));
}

/** The resolver, which else makes its socket again. One that systemd started is started again when a container needs it. */
function resolverSteps(): Step[] {
  const { socket } = resolverPaths;
  if (!isListenedTo(socket)) return [];
  return [
    {
      what: `the resolver on ${socket}`,
      run() {
        requestStop(socket);
        return undefined;
      },
    },
  ];
}

/** Files of twill's own. The reservations themselves are also the reference plugin's, which goes on with them. */
function stateSteps({ network }: PurgeOptions): Step[] {
  const index = `${defaultDataDir}/.twill`;
  const paths =
    network === undefined
      ? [index, "/var/lib/cni/twill", "/run/twill"]
      : (findDirectory(index) ?? []).filter((name) => name === network).map((name) => `${index}/${name}`);
  const files = paths
    .filter((path) => findStat(path, "link") !== undefined)
    .map((path) => ({
      what: path,
      run() {
        removeTree(path);
        return undefined;
      },
    }));
  return [...(network === undefined ? resolverSteps() : []), ...files];
}

/** The tables that only twill makes, once no attachment is in them. A table with somebody else's rules or chains stays. */
function tableSteps({ network }: PurgeOptions): Step[] {
  const netfilter = connect(NETLINK_NETFILTER);
  const rtnl = lazy(openRtnetlink);
  const hasLink = (name: string) => findLink(rtnl(), name) !== undefined;
  const links = networksWithLinkHoles(netfilter)
    .filter((name) => network === undefined || name === network)
    .map((name) => linkTableOf(netfilter, name, hasLink));
  const hasContainers = () => FAMILIES.some((family) => (listElements(netfilter, CONTAINERS[family]) ?? []).length > 0);
  const forwarding = { table: FORWARDING, isUsed: () => hasContainers() || hasOthersContent(netfilter) };
  const hostPorts = FAMILIES.map((family) => ({
    table: TABLES[family].tableRef,
    isUsed: () => isHostPortTableInUse(netfilter, TABLES[family]),
  }));
  return [...(network === undefined ? [forwarding, ...hostPorts] : []), ...links]
    .filter(({ table }) => findTable(netfilter, table) !== undefined)
    .map(({ table, isUsed }) => ({
      what: `nftables' table ${table.table}`,
      unless: ", unless it has rules of others",
      run() {
        const isGone = () => findTable(netfilter, table) === undefined;
        const plan = () => ({ requests: isGone() || isUsed() ? [] : [deleteTable(table)] });
        const { requests } = edit(netfilter, plan, { lastUnbound: false });
        return requests.length > 0 || isGone() ? undefined : "it has rules, chains or containers of others";
      },
    }));
}
