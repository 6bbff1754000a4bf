/**
 * `twill uninstall --purge`: removes what twill has made on this node, by its marks: links by their alias, rules by the attachment that their
 * comments name, each by the whole key, and twill's own tables, records and index. What the reference plugins, Docker or podman made has none
 * of these marks, and stays. Bridges have no mark: they are named, and left.
 */
import type { AttachmentId } from "../../../pkg/cni/attachment-id.ts";
import { CniError, ErrorCode, failureOf } from "../../../pkg/cni/error.ts";
import type { ToolContext } from "../../../pkg/cni/tool.ts";
import { oneLine } from "../../../pkg/command-line/table.ts";
import { FAMILIES } from "../../../pkg/firewall/family.ts";
import { revokeForwarding } from "../../../pkg/firewall/forwarding/forwarding.ts";
import { CONTAINERS, TABLE as FORWARDING } from "../../../pkg/firewall/forwarding/nftables-table.ts";
import { removeMacSpoofCheck } from "../../../pkg/firewall/mac-spoof-check.ts";
import { listMarkedRules, ownersFor } from "../../../pkg/firewall/marked-rules.ts";
import { removeMasquerade } from "../../../pkg/firewall/masquerade/masquerade.ts";
import { commentOf, deleteTable, findRules, findTable, listChains } from "../../../pkg/firewall/nftables/ruleset.ts";
import { listElements } from "../../../pkg/firewall/nftables/set.ts";
import { commit } from "../../../pkg/firewall/nftables/transaction.ts";
import { RECORD, TABLES } from "../../../pkg/firewall/portmap/nftables-table.ts";
import { deletePortMappings } from "../../../pkg/firewall/portmap/portmap.ts";
import { withExistingPool } from "../../../pkg/ipam/host-local/pool.ts";
import { defaultDataDir } from "../../../pkg/ipam/host-local/reservation-directory.ts";
import { releaseAll } from "../../../pkg/ipam/host-local/reservations-by-owner.ts";
import { listLinks, openRtnetlink } from "../../../pkg/link/link.ts";
import { deleteOwnedLinks, ownerOf } from "../../../pkg/link/owner.ts";
import { connect, NETLINK_NETFILTER } from "../../../pkg/netlink/connection.ts";
import { cachedAttachment, deleteNetwork } from "../../../pkg/runtime/network.ts";
import { parseList } from "../../../pkg/runtime/network-list.ts";
import { type CacheEntry, defaultCacheRoot } from "../../../pkg/runtime/result-cache.ts";
import { directoryOf, findDirectory, findStat } from "../../../pkg/sys/file.ts";
import { pluginPathOrUsual } from "../../cnitool/paths.ts";
import { keyOf, nameOf, readAttachments } from "../node/cached-attachments.ts";
import { reservationDirectories } from "../node/leftovers.ts";
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
  entry: CacheEntry | undefined;
  /** "left": no runtime remembers it, and nothing but rules are there. */
  state: "alive" | "dead" | "unknown" | "left";
}

/** @returns whether all could be done @throws CniError 7: containers run, and `force` is not set */
export function purge(options: PurgeOptions, context: ToolContext): boolean {
  const attachments = markedAttachments(options);
  const living = attachments.filter(({ state }) => state === "alive" || state === "unknown");
  if (living.length > 0 && !options.force) throw isInUse(living);
  const steps = [
    ...attachments.map((attachment) => deletionOf(attachment, context)),
    ...stateSteps(options),
    ...(options.network === undefined ? tableSteps() : []),
  ];
  const { stdout, stderr } = context.streams;
  const outcomes = steps.map(({ what, run }) => {
    if (options.isDryRun) {
      stdout(`would remove ${oneLine(what)}\n`);
      return true;
    }
    try {
      if (run() !== "nothing") stdout(`removed ${oneLine(what)}\n`);
      return true;
    } catch (error) {
      stderr(`twill uninstall: could not remove ${oneLine(what)}: ${failureOf(error).message}\n`);
      return false;
    }
  });
  if (steps.length === 0) stdout("nothing of twill's is left\n");
  return !outcomes.includes(false);
}

interface Step {
  what: string;
  run(): unknown;
}

/** Returns the attachments that have a mark of twill's: a link, or a rule of which only twill makes such. */
function markedAttachments({ network }: PurgeOptions): PurgedAttachment[] {
  const { attachments } = readAttachments();
  const links = listLinks(openRtnetlink()).flatMap((link) => ownerOf(link) ?? []);
  const linked = new Set(links.map(keyOf));
  const rules = listMarkedRules(connect(NETLINK_NETFILTER)).filter(({ isTwills }) => isTwills);
  const cached = attachments.map(({ entry, state }) => {
    const owner = { network: entry.networkName, containerId: entry.containerId, ifName: entry.ifName };
    return { owner, entry, state };
  });
  const isMarked = ({ owner }: PurgedAttachment): boolean => {
    if (linked.has(keyOf(owner))) return true;
    const owners = ownersFor([owner]);
    return rules.some((rule) => (rule.owner === undefined ? rule.isOf(owners) : keyOf(rule.owner) === keyOf(owner)));
  };
  const known = new Set(cached.map(({ owner }) => keyOf(owner)));
  const others = new Map(
    [...links, ...rules.flatMap(({ owner }) => owner ?? [])]
      .filter((owner) => !known.has(keyOf(owner)))
      .map((owner) => [keyOf(owner), owner]),
  );
  return [
    ...cached.filter(isMarked),
    ...[...others.values()].map((owner): PurgedAttachment => {
      return { owner, entry: undefined, state: linked.has(keyOf(owner)) ? "unknown" : "left" };
    }),
  ].filter(({ owner }) => network === undefined || owner.network === network);
}

function isInUse(living: readonly PurgedAttachment[]): CniError {
  const names = living.map(({ owner: { network, containerId, ifName }, state }) => {
    return `${network} ${containerId} ${ifName}${state === "unknown" ? " (whether it runs is unknown)" : ""}`;
  });
  return new CniError({
    code: ErrorCode.invalidConfig,
    msg: `${living.length} containers have interfaces that twill has made, and would lose their network`,
    details: names.join("; "),
    remedy:
      "stop them first; or add --force, which takes their network away; twill uninstall without --purge leaves it to them",
  });
}

function deletionOf({ owner, entry }: PurgedAttachment, context: ToolContext): Step {
  const { network, containerId, ifName } = owner;
  return {
    what: `the attachment ${network} ${containerId} ${ifName}`,
    run() {
      if (entry !== undefined) deleteCached(entry, context);
      const netfilter = connect(NETLINK_NETFILTER);
      removeMasquerade(owner, [], netfilter);
      deletePortMappings(owner, [], { legacy: true }, netfilter);
      revokeForwarding(owner, { addresses: [], bridge: undefined }, { backend: undefined, zone: "trusted" }, netfilter);
      removeMacSpoofCheck(owner, () => false, netfilter);
      deleteOwnedLinks(openRtnetlink(), owner);
      for (const directory of directoriesOf(owner.network, entry)) release(owner, directory);
    },
  };
}

/** Does what the runtime's DEL would do, as far as the plugins of its configuration are there. */
function deleteCached(entry: CacheEntry, { plugins, streams }: ToolContext): void {
  const list = parseList(entry.config, `cached result of ${nameOf(entry)}`);
  const path = pluginPathOrUsual(streams.environment);
  deleteNetwork(list, cachedAttachment(entry), { path, cacheRoot: defaultCacheRoot, delegates: plugins });
}

function directoriesOf(network: string, entry: CacheEntry | undefined): string[] {
  const usual = `${defaultDataDir}/${network}`;
  if (entry === undefined) return [usual];
  const { plugins } = parseList(entry.config, `cached result of ${nameOf(entry)}`);
  return [...new Set([usual, ...reservationDirectories(network, plugins)])];
}

function release({ network, containerId, ifName }: AttachmentId, directory: string): void {
  const conf = { network, dataDir: directoryOf(directory), sets: [], reclaimAfterReboot: false, reuseDelayMs: 0 };
  withExistingPool({ ...conf, log: () => undefined }, (pool) => releaseAll(pool, { containerId, ifName }, []));
}

/** Files of twill's own. The reservations themselves are also the reference plugin's, which goes on with them. */
function stateSteps({ network }: PurgeOptions): Step[] {
  const index = `${defaultDataDir}/.twill`;
  const paths =
    network === undefined
      ? [index, "/var/lib/cni/twill", "/run/twill"]
      : (findDirectory(index) ?? []).filter((name) => name === network).map((name) => `${index}/${name}`);
  return paths
    .filter((path) => findStat(path, "link") !== undefined)
    .map((path) => ({ what: path, run: () => removeTree(path) }));
}

/** The tables that only twill makes, once no attachment is in them. A table with somebody else's rules stays. */
function tableSteps(): Step[] {
  const netfilter = connect(NETLINK_NETFILTER);
  const forwarding = {
    table: FORWARDING,
    isUsed: () =>
      FAMILIES.some((family) => (listElements(netfilter, CONTAINERS[family]) ?? []).length > 0) ||
      findRules(netfilter, FORWARDING).some((body) => commentOf(body) === ""),
  };
  const hostPorts = FAMILIES.map((family) => {
    const table = TABLES[family].tableRef;
    const isUsed = () =>
      listChains(netfilter, table.family).some(
        (chain) => chain.table === table.table && chain.name?.startsWith(RECORD),
      );
    return { table, isUsed };
  });
  return [forwarding, ...hostPorts]
    .filter(({ table }) => findTable(netfilter, table) !== undefined)
    .map(({ table, isUsed }) => ({
      what: `nftables' table ${table.table}`,
      run: () => (isUsed() ? "nothing" : commit(netfilter, [deleteTable(table)])),
    }));
}
