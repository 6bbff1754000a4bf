/**
 * `twill reload`: restores the rules of all living attachments in one transaction, after a firewall was reloaded or after
 * `nft flush ruleset`.
 *
 * It reads the runtime's result cache, which costs ADD nothing and has the containers that other plugins attached. Rejected: our
 * own files about what each ADD made, which would be one more thing that can be wrong.
 */

import { hex } from "../../pkg/bytes/hex.ts";
import { runAllSteps } from "../../pkg/cni/best-effort-del.ts";
import { decodeResult } from "../../pkg/cni/decode-result.ts";
import { delegateRestore } from "../../pkg/cni/delegate.ts";
import { CniError, ErrorCode, failureOf } from "../../pkg/cni/error.ts";
import type { Attachment, Delegates } from "../../pkg/cni/plugin.ts";
import { type Streams, standardStreams } from "../../pkg/cni/process-io.ts";
import type { Tool } from "../../pkg/cni/tool.ts";
import { matching } from "../../pkg/command-line/completion.ts";
import { usesLegacy } from "../../pkg/firewall/iptables/host.ts";
import { edit } from "../../pkg/firewall/nftables/transaction.ts";
import {
  type Connection,
  connect,
  type Draft,
  draft,
  NETLINK_NETFILTER,
  type Request,
} from "../../pkg/netlink/connection.ts";
import { encode } from "../../pkg/netlink/message.ts";
import { nftFamilies } from "../../pkg/netlink/nftables/header.ts";
import { findLinkProblems, networksWithLinks, placeLinks } from "../../pkg/network/link-holes.ts";
import { cachedNamespace, namespacePath } from "../../pkg/runtime/cached-namespace.ts";
import { requestOf } from "../../pkg/runtime/network.ts";
import { parseList } from "../../pkg/runtime/network-list.ts";
import {
  type CacheContent,
  type CacheEntry,
  cacheFile,
  cacheRootsOf,
  defaultCacheRoot,
  listCaches,
  nameOf,
} from "../../pkg/runtime/result-cache.ts";
import { findStat } from "../../pkg/sys/file.ts";
import { closingAll } from "../../pkg/sys/left-open.ts";
import { whenFree } from "./network/surroundings.ts";

export const reload: Tool = {
  name: "reload",
  about: "restores the firewall rules of all running containers, after a firewall was reloaded",
  run,
  complete: (words) => matching(words.at(-1) ?? "", ["--dry-run", "--cache-dir", "--help"]),
};

const USAGE = `Usage: twill reload [--dry-run] [--cache-dir DIR]

Checks every attachment in the runtime's cache whose namespace exists, and restores the rules of its plugins on the
host that are missing: masquerade, host ports, firewall, MAC spoof checks. All in one transaction. Then what links between
containers of twill network open.

  --dry-run         print what would be added for each attachment, and change nothing
  --cache-dir DIR   directory of the runtime's cache, with "results" in it (${cacheRootsOf(defaultCacheRoot).join(" and ")})
`;

interface Options {
  dryRun: boolean;
  cacheRoot: string;
}

function run(args: readonly string[], { plugins, streams }: { plugins: Delegates; streams: Streams }): number {
  if (args.includes("--help") || args.includes("-h")) {
    streams.stdout(USAGE);
    return 0;
  }
  const options = optionsOf(args);
  if (typeof options === "string") {
    streams.stderr(`twill reload: ${options}\n\n${USAGE}`);
    return 2;
  }
  const results = `${options.cacheRoot}/results`;
  if (options.cacheRoot !== defaultCacheRoot && findStat(results) === undefined)
    streams.stderr(
      `twill reload: there is no ${results}: pass the directory that has "results" in it as --cache-dir\n`,
    );
  try {
    if (options.dryRun) refuseLegacy();
    const { failed, skipped } = reloadAll(options, plugins, streams);
    return failed + skipped === 0 ? 0 : 1;
  } catch (error) {
    streams.stderr(`twill reload: ${failureOf(error).message}\n`);
    return 1;
  }
}

/** Parses the options. @returns an error text if they are invalid */
function optionsOf(args: readonly string[]): Options | string {
  let options: Options = { dryRun: false, cacheRoot: defaultCacheRoot };
  for (let at = 0; at < args.length; at++) {
    const value = args[at + 1];
    if (args[at] === "--dry-run") options = { ...options, dryRun: true };
    else if (args[at] === "--cache-dir") {
      if (value === undefined) return "--cache-dir needs a directory";
      options = { ...options, cacheRoot: value };
      at++;
    } else return `unknown argument ${JSON.stringify(args[at])}`;
  }
  return options;
}

/** Refuses legacy iptables: programs that inspect and change the rules would be run there. */
function refuseLegacy(): void {
  if (!usesLegacy("ip") && !usesLegacy("ip6")) return;
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: "what is missing in legacy iptables cannot be found out without changing it",
    remedy: "run twill reload without --dry-run: existing rules are not changed",
  });
}

/** Some missing rules are found only after others are restored: policies of bridges that several containers share. */
const ROUNDS = 3;

export interface LostRules {
  entry: CacheEntry;
  /** As "2 x add rule in ip nat CNI-HOSTPORT-DNAT". */
  changes: readonly string[];
}

export interface LookForLostRules {
  /** Living attachments that lack rules. */
  lost: LostRules[];
  /** Living attachments of which it cannot be told. */
  failed: { entry: CacheEntry; error: string }[];
}

/** Returns what these living attachments lack of their rules on the host; changes nothing. @throws CniError 7: legacy iptables, where it cannot be told */
export function findLostRules(living: readonly LivingAttachment[], plugins: Delegates): LookForLostRules {
  if (living.length === 0) return { lost: [], failed: [] };
  refuseLegacy();
  const { parts, failed } = planFor(inOrder(living), plugins, true);
  return {
    lost: parts
      .filter(({ requests }) => requests.length > 0)
      .map(({ entry, requests }) => ({ entry, changes: changesIn(requests) })),
    failed,
  };
}

/** Restores them, those of each attachment for which it can be done. @throws CniError 999: it could not be done for one */
export function restoreRules(plugins: Delegates): void {
  const silent = { ...standardStreams(), stdout: () => undefined };
  const { failed } = reloadAll({ dryRun: false, cacheRoot: defaultCacheRoot }, plugins, silent);
  if (failed === 0) return;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `the rules of ${failed} attachments could not be restored; those of the others were`,
    remedy: "twill reload says why for each",
  });
}

/** Attachments whose rules were not restored. */
interface NotRestored {
  failed: number;
  /** Whether they are alive is unknown. */
  skipped: number;
}

function reloadAll({ dryRun, cacheRoot }: Options, plugins: Delegates, streams: Streams): NotRestored {
  const caches = listCaches(cacheRoot);
  const attachments = inOrder(caches.flatMap(livingIn));
  const netfilter = connect(NETLINK_NETFILTER);
  const skipped = caches.map((cache) => tellSkipped(cache, streams)).reduce((sum, count) => sum + count, 0);
  tellForeign(attachments, plugins, streams);
  let failures = 0;
  let changes = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const plan = committedPlan(netfilter, attachments, plugins, dryRun);
    for (const { entry, requests } of plan.parts) {
      const { length } = requests;
      if (length === 0) continue;
      streams.stdout(`${nameOf(entry)}: ${dryRun ? `${length} changes to make` : `${length} changes made`}\n`);
      if (dryRun) for (const line of changesIn(requests)) streams.stdout(`    ${line}\n`);
    }
    if (round === 1) for (const { entry, error } of plan.failed) streams.stderr(`${nameOf(entry)}: ${error}\n`);
    failures = plan.failed.length;
    changes += plan.requests.length;
    if (plan.requests.length === 0 || dryRun) break;
  }
  const links = cacheRoot === defaultCacheRoot ? reloadLinks(dryRun, streams) : noLinks; // records are of the usual one
  failures += links.failed;
  changes += links.changes;
  const what = changes === 0 ? "nothing is missing" : dryRun ? `${changes} changes to make` : `${changes} changes made`;
  streams.stdout(`${attachments.length} attachments, ${what}\n`);
  return { failed: failures, skipped };
}

const noLinks = { changes: 0, failed: 0 };

/** Restores what the links of `twill network connect` open. @returns how many changes were needed, and how many networks failed */
function reloadLinks(dryRun: boolean, { stdout, stderr }: Streams): { changes: number; failed: number } {
  if (networksWithLinks().length === 0) return noLinks;
  return whenFree(() => {
    const total = { ...noLinks };
    for (const network of networksWithLinks()) {
      try {
        const problems = findLinkProblems(network, defaultCacheRoot);
        if (problems.length === 0) continue;
        if (!dryRun) placeLinks(network, defaultCacheRoot);
        total.changes += problems.length;
        stdout(
          `${network}, links: ${dryRun ? `${problems.length} changes to make` : `${problems.length} changes made`}\n`,
        );
        if (dryRun) for (const { text } of problems) stdout(`    ${text}\n`);
      } catch (error) {
        total.failed++;
        stderr(`${network}, links: ${failureOf(error).message}\n`);
      }
    }
    return total;
  });
}

/**
 * Reports attachments that are skipped because it is unknown whether they are alive. Rules of a dead one would lead its host ports
 * to the next container with its address, without notice; a living one that lacks its rules is reported here.
 *
 * @returns how many
 */
function tellSkipped({ entries, damaged }: CacheContent, { stderr }: Streams): number {
  const unknown = entries
    .map((entry) => ({ entry, ...cachedNamespace(entry) }))
    .filter(({ state }) => state === "unknown");
  for (const { entry, path } of unknown) {
    const why = path === undefined ? "its cached result has no namespace" : `${path} cannot be examined`;
    stderr(
      `${nameOf(entry)}: skipped, its container may no longer exist: ${why}; if it runs, delete the container and create it again\n`,
    );
  }
  for (const { path, reason } of damaged) stderr(`damaged ${path}: skipped: ${reason}\n`);
  return unknown.length + damaged.length;
}

/** Reports the plugins of other makers that living attachments have: rules of theirs are not restored. */
function tellForeign(attachments: readonly CacheEntry[], plugins: Delegates, { stderr }: Streams): void {
  const counts = new Map<string, number>();
  for (const type of attachments.flatMap((entry) => foreignTypes(entry, plugins)))
    counts.set(type, (counts.get(type) ?? 0) + 1);
  for (const [type, count] of counts)
    stderr(
      `plugin ${JSON.stringify(type)} of ${count} attachments is not one of twill's: rules that it has made are not restored; if it makes any, create these containers again\n`,
    );
}

/** multus makes no rules: its delegates have entries of their own. */
const RULELESS = ["multus", "multus-shim"];

function foreignTypes(entry: CacheEntry, plugins: Delegates): string[] {
  try {
    const types = parseList(entry.config, `cached result of ${nameOf(entry)}`).plugins.map(({ type }) => type);
    return [...new Set(types)].filter((type) => !Object.hasOwn(plugins, type) && !RULELESS.includes(type));
  } catch {
    return []; // told when its rules are to be restored
  }
}

/** An attachment whose namespace exists, and the cache that has it. */
interface LivingAttachment {
  entry: CacheEntry;
  cacheRoot: string;
}

const livingIn = ({ root, entries }: CacheContent & { root: string }): LivingAttachment[] =>
  entries.filter((entry) => cachedNamespace(entry).state === "alive").map((entry) => ({ entry, cacheRoot: root }));

/** Returns attachments in the order in which they were attached, which is the order of their rules. */
const inOrder = (attachments: readonly LivingAttachment[]): CacheEntry[] =>
  attachments
    .map(({ entry, cacheRoot }) => ({ entry, since: findStat(cacheFile(cacheRoot, entry))?.modifiedNs ?? 0n }))
    .sort((one, other) => (one.since < other.since ? -1 : one.since > other.since ? 1 : 0))
    .map(({ entry }) => entry);

interface Plan {
  requests: Request[];
  /** Those of `requests` that each attachment needs. */
  parts: { entry: CacheEntry; requests: readonly Request[] }[];
  failed: { entry: CacheEntry; error: string }[];
}

/** Plans and commits in one transaction: starts again when the ruleset has been changed meanwhile. */
function committedPlan(
  netfilter: Connection,
  attachments: readonly CacheEntry[],
  plugins: Delegates,
  dryRun: boolean,
): Plan {
  const plan = () => planFor(attachments, plugins, dryRun);
  return dryRun ? plan() : edit(netfilter, plan);
}

/** Plans each attachment as if it were alone; requests that several have in common, for shared chains and rules, are made once. */
function planFor(attachments: readonly CacheEntry[], plugins: Delegates, dryRun: boolean): Plan {
  const plan: Plan = { requests: [], parts: [], failed: [] };
  const known = new Set<string>();
  const drawn: Draft = draft(NETLINK_NETFILTER);
  for (const entry of attachments) {
    const before = plan.requests.length;
    try {
      restoreAttachment(entry, plugins, (attachment, type) => {
        const from = drawn.requests.length;
        closingAll(() => delegateRestore(attachment, type, () => drawn, { dryRun }));
        for (const request of drawn.requests.slice(from)) {
          const key = `${request.type} ${request.flags} ${hex(encode(request.table as never, request.value as never))}`;
          if (!known.has(key)) plan.requests.push(request);
          known.add(key);
        }
      });
    } catch (error) {
      plan.failed.push({ entry, error: failureOf(error).message });
    }
    plan.parts.push({ entry, requests: plan.requests.slice(before) });
  }
  return plan;
}

/** What a request of nf_tables is about; it has those that its object has. */
interface Target {
  family: number;
  table?: string;
  chain?: string;
  set?: string;
  name?: string;
}

/** Describes requests as "2 x add rule in ip nat CNI-HOSTPORT-DNAT", each kind once. */
function changesIn(requests: readonly Request[]): string[] {
  const counts = new Map<string, number>();
  for (const { name, value } of requests) {
    const [, verb = "", object = ""] = /^NFT_MSG_(NEW|DEL)(\w+)$/.exec(name) ?? [];
    const { family, table = "", chain, set, name: own } = value as Target;
    const place = [nftFamilies[family], table, chain ?? set ?? own].filter((part) => part !== "").join(" ");
    const what = { RULE: "rule in", SETELEM: "elements of" }[object] ?? object.toLowerCase();
    const line = `${verb === "DEL" ? "delete" : "add"} ${what} ${place}`;
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return [...counts].map(([line, count]) => (count === 1 ? line : `${count} x ${line}`));
}

/** Restores the rules of each plugin of the list. If one fails, the rules of the others are still restored. */
function restoreAttachment(
  entry: CacheEntry,
  plugins: Delegates,
  restore: (attachment: Attachment<unknown>, type: string) => void,
): void {
  const what = `cached result of ${nameOf(entry)}`;
  const list = parseList(entry.config, what);
  const prevResult = decodeResult(entry.result, "", { what, remedy: "delete the attachment and add it again" });
  const { capabilityArgs } = entry;
  runAllSteps(
    list.plugins.map((conf) => [
      `restore the rules of ${conf.type}`,
      () => {
        const stdin = requestOf(list, conf, { prevResult, capabilityArgs });
        restore(attachmentOf(entry, { conf, stdin, prevResult, delegates: plugins }), conf.type);
      },
    ]),
  );
}

function attachmentOf(
  entry: CacheEntry,
  parts: Pick<Attachment<unknown>, "conf" | "stdin" | "prevResult" | "delegates">,
): Attachment<unknown> {
  return {
    ...parts,
    cniVersion: "",
    network: entry.networkName,
    path: [],
    containerId: entry.containerId,
    netns: namespacePath(entry),
    ifName: entry.ifName,
    args: entry.cniArgs.map(([key, value]) => `${key}=${value}`).join(";"),
  };
}
