/**
 * The runtime's part of CNI: runs the plugins of a list one after the other, passes results on, and caches them. This is what
 * `cnitool` does, and what container runtimes do through the reference library.
 *
 * @see CNI specification, section 3 "Execution of Network Configurations"
 */

import type { AttachmentId } from "../cni/attachment-id.ts";
import { runAllSteps } from "../cni/best-effort-del.ts";
import { invoke } from "../cni/delegate.ts";
import { encodeResult } from "../cni/encode-result.ts";
import { checkContainerId, checkInterfaceName, readParameters } from "../cni/environment.ts";
import { CniError, ErrorCode, errorText, failureOf, withSecondFailure } from "../cni/error.ts";
import { findExecutable } from "../cni/find-executable.ts";
import type { Delegates, HostConnections } from "../cni/plugin.ts";
import { standardStreams } from "../cni/process-io.ts";
import type { Result } from "../cni/result.ts";
import { isSameProgram } from "../cni/same-build.ts";
import { perform } from "../cni/skeleton.ts";
import { isAtLeast } from "../cni/version.ts";
import { type Json, type JsonObject, printJson, sortKeys } from "../config/json.ts";
import { closingAll } from "../sys/left-open.ts";
import { environment } from "../sys/process.ts";
import { encode } from "../sys/text.ts";
import { namespacePath } from "./cached-namespace.ts";
import { type NetworkList, type PluginConf, parseList, publishesPorts } from "./network-list.ts";
import {
  attachmentsNamedBy,
  type CacheEntry,
  type CacheKey,
  type DamagedFile,
  listCaches,
  readCachedResult,
  removeCache,
  writeCache,
} from "./result-cache.ts";

export interface Runtime {
  /** Directories of plugins, in order. */
  path: readonly string[];
  cacheRoot: string;
  /** Plugins of this executable. */
  delegates: Delegates;
  /** What its calls share, for many of them in one process. */
  host?: HostConnections | undefined;
}

export interface RuntimeAttachment {
  containerId: string;
  netns: string | undefined;
  ifName: string;
  /** CNI_ARGS */
  args: readonly (readonly [string, string])[];
  /** Values for `runtimeConfig` by capability. */
  capabilityArgs: JsonObject;
}

export type ValidAttachments = readonly Omit<AttachmentId, "network">[];

/**
 * Runs the chain and caches the result. A missing plugin is found before the first one is run. When a plugin fails after others have
 * succeeded, or the result cannot be cached, the attachment is deleted again. It is not when the first plugin fails: that undoes its own work, and
 * the interface in its way may be another network's, which plugins that know no owner would delete.
 *
 * @throws CniError of the first plugin that fails, with its type and name; or the cache cannot be written
 */
export function addNetwork(list: NetworkList, attachment: RuntimeAttachment, runtime: Runtime): Result {
  checkContainerId(attachment.containerId);
  checkInterfaceName(attachment.ifName);
  for (const plugin of list.plugins) named(plugin, "add", () => findExecutable(plugin.type, runtime.path));
  let prevResult: Result | undefined;
  for (const plugin of list.plugins) {
    const stdin = requestOf(list, plugin, { prevResult, capabilityArgs: attachment.capabilityArgs });
    const add = () => named(plugin, "add", () => call("ADD", plugin, { list, attachment, runtime, stdin }));
    prevResult = prevResult === undefined ? add() : orDeleted(add, list, attachment, runtime);
  }
  const result = prevResult ?? { interfaces: [], ips: [], routes: [] };
  const { containerId, netns, ifName, args, capabilityArgs } = attachment;
  const entry = {
    networkName: list.name,
    containerId,
    ifName,
    config: list.bytes,
    netns,
    cniArgs: args,
    capabilityArgs,
    result: encodeResult(result, list.cniVersion),
  };
  orDeleted(() => writeCache(runtime.cacheRoot, entry), list, attachment, runtime);
  return result;
}

/** Runs `work`, without which the attachment is of no use; when it throws, deletes the attachment. @throws the error of `work`, with what to do when DEL fails too */
export function orDeleted<T>(work: () => T, list: NetworkList, attachment: RuntimeAttachment, runtime: Runtime): T {
  try {
    return work();
  } catch (error) {
    try {
      deleteNetwork(list, attachment, runtime);
    } catch (failure) {
      const remedy = `delete the attachment before you add it again: cnitool del --ifname ${attachment.ifName} ${list.name} ${attachment.netns}`;
      throw withSecondFailure(error, `could not delete the attachment either: ${errorText(failure)}`, remedy);
    }
    throw error;
  }
}

/** Checks the chain; leaves no descriptor open. @throws CniError of the first plugin that reports a problem; 6: the cached result is damaged */
export function checkNetwork(list: NetworkList, attachment: RuntimeAttachment, runtime: Runtime): void {
  if (!isAtLeast(list.cniVersion, "0.4.0")) {
    throw new CniError({
      code: ErrorCode.incompatibleVersion,
      msg: `configuration version "${list.cniVersion}" does not support the CHECK command`,
      remedy: `set "cniVersion" of network "${list.name}" to 0.4.0 or later`,
    });
  }
  if (list.disableCheck) return;
  const prevResult = readCachedResult(runtime.cacheRoot, keyOf(list, attachment));
  for (const plugin of list.plugins) {
    const stdin = requestOf(list, plugin, { prevResult, capabilityArgs: attachment.capabilityArgs });
    closingAll(() => call("CHECK", plugin, { list, attachment, runtime, stdin }));
  }
}

/** Calls DEL in reverse order of the chain. @throws CniError of the first plugin that fails; the cache then keeps the attachment */
export function deleteNetwork(list: NetworkList, attachment: RuntimeAttachment, runtime: Runtime): void {
  const key = keyOf(list, attachment);
  const prevResult = isAtLeast(list.cniVersion, "0.4.0") ? usableResult(list, runtime, key) : undefined;
  for (const plugin of list.plugins.toReversed()) {
    const stdin = requestOf(list, plugin, { prevResult, capabilityArgs: attachment.capabilityArgs });
    named(plugin, "delete", () => call("DEL", plugin, { list, attachment, runtime, stdin }));
  }
  removeCache(runtime.cacheRoot, key);
}

/**
 * Changes which ports of the host lead to an attachment: calls DEL and ADD of the plugins that publish ports, and of no other one, and caches what they
 * were given.
 *
 * @param portMappings in the form of the capability; none: its ports are published no more
 * @throws CniError of the plugin that fails, and the cache then has no ports; 6: the cached result is damaged
 */
export function setPortMappings(entry: CacheEntry, portMappings: readonly JsonObject[], runtime: Runtime): void {
  const list = parseList(entry.config, `cached configuration of ${entry.networkName}`);
  const before = cachedAttachment(entry);
  const { portMappings: _, ...others } = entry.capabilityArgs;
  const prevResult = readCachedResult(runtime.cacheRoot, keyOf(list, before));
  const publishing = list.plugins.filter(publishesPorts);
  const callAll = (verb: "ADD" | "DEL", attachment: RuntimeAttachment): void => {
    for (const plugin of publishing) {
      const stdin = requestOf(list, plugin, { prevResult, capabilityArgs: attachment.capabilityArgs });
      named(plugin, verb === "ADD" ? "add" : "delete", () => call(verb, plugin, { list, attachment, runtime, stdin }));
    }
  };
  callAll("DEL", before);
  writeCache(runtime.cacheRoot, { ...entry, capabilityArgs: others }); // while ADD has not succeeded, none is published
  if (portMappings.length === 0) return;
  const capabilityArgs = { ...others, portMappings };
  callAll("ADD", { ...before, capabilityArgs });
  writeCache(runtime.cacheRoot, { ...entry, capabilityArgs });
}

/**
 * Returns the cached result if it can be used. A damaged entry, or a result that the list's version cannot express, must not
 * prevent DEL.
 */
function usableResult(list: NetworkList, { cacheRoot }: Runtime, key: CacheKey): Result | undefined {
  try {
    const result = readCachedResult(cacheRoot, key);
    if (result !== undefined) encodeResult(result, list.cniVersion);
    return result;
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}

/** An attachment to be deleted, and the cache that has it: multus has one of its own. */
export interface StaleEntry extends CacheEntry {
  cacheRoot: string;
}

/** The attachments that a GC of a network deletes and keeps. */
export interface GarbagePlan {
  /** Cached attachments to be deleted. */
  stale: StaleEntry[];
  /** Attachments that plugins must keep: the valid ones, and those that a damaged file may stand for. */
  valid: ValidAttachments;
  /** Files of the cache that may stand for attachments of this network. */
  damaged: DamagedFile[];
}

/**
 * Plans a GC: cached attachments that are not valid are stale. Attachments that a damaged file may stand for are kept, since
 * plugins delete everything that is not in the list.
 *
 * @throws CniError 5: the cache cannot be read
 */
export function planGarbageCollection(
  list: NetworkList,
  isValid: (entry: CacheEntry) => boolean,
  { cacheRoot }: Pick<Runtime, "cacheRoot">,
): GarbagePlan {
  if (list.disableGC) return { stale: [], valid: [], damaged: [] };
  const caches = listCaches(cacheRoot, list.name);
  const entries = caches.flatMap(({ root, entries }) => entries.map((entry) => ({ ...entry, cacheRoot: root })));
  const damaged = caches.flatMap((cache) => cache.damaged);
  const named = damaged.map((file) => ({ file, attachments: attachmentsNamedBy(file, list.name) }));
  const valid = entries.filter(isValid);
  const kept = new Set(valid);
  return {
    stale: entries.filter((entry) => !kept.has(entry)),
    valid: [...valid, ...named.flatMap(({ attachments }) => attachments)].map(({ containerId, ifName }) => ({
      containerId,
      ifName,
    })),
    damaged: named.filter(({ attachments }) => attachments.length > 0).map(({ file }) => file),
  };
}

/** Returns each attachment once. */
const distinct = (attachments: ValidAttachments): ValidAttachments => [
  ...new Map(attachments.map((one) => [`${one.containerId} ${one.ifName}`, one])).values(),
];

/**
 * Deletes the stale attachments, then calls GC of every plugin.
 *
 * @param deleted is called for each attachment that was deleted
 * @param validNow returns the valid attachments for the next GC: deletions take seconds, in which containers may come whose attachments are not in the plan
 * @throws CniError with all failures
 */
export function collectGarbage(
  list: NetworkList,
  { stale, valid }: Pick<GarbagePlan, "stale" | "valid">,
  runtime: Runtime,
  deleted: (entry: CacheEntry) => void = () => undefined,
  validNow: () => ValidAttachments = () => valid,
): void {
  if (list.disableGC) return;
  const deletions = deletionsOf(list, stale, runtime, deleted);
  const plugins = isAtLeast(list.cniVersion, "1.1.0") ? list.plugins : [];
  const collections = plugins.map((plugin) => () => {
    const what = `failed to GC plugin ${plugin.type}`;
    prefixed(what, () => {
      const stdin = requestOf(list, plugin, { valid: distinct(validNow()) });
      call("GC", plugin, { list, attachment: noAttachment, runtime, stdin });
    });
  });
  runAllSteps([...deletions, ...collections].map((step) => ["collect garbage", step]));
}

/** Deletes the stale attachments alone. @throws CniError with all failures */
export function deleteStale(
  list: NetworkList,
  stale: readonly StaleEntry[],
  runtime: Runtime,
  deleted: (entry: CacheEntry) => void,
): void {
  if (!list.disableGC)
    runAllSteps(deletionsOf(list, stale, runtime, deleted).map((step) => ["delete stale attachments", step]));
}

const deletionsOf = (
  list: NetworkList,
  stale: readonly StaleEntry[],
  runtime: Runtime,
  deleted: (entry: CacheEntry) => void,
): (() => void)[] =>
  stale.map((entry) => () => {
    const what = `failed to delete stale attachment ${entry.containerId} ${entry.ifName}`;
    prefixed(what, () => deleteNetwork(list, cachedAttachment(entry), { ...runtime, cacheRoot: entry.cacheRoot }));
    deleted(entry);
  });

/** Returns the attachment as ADD was given it. */
export const cachedAttachment = (entry: CacheEntry): RuntimeAttachment => ({
  containerId: entry.containerId,
  netns: namespacePath(entry),
  ifName: entry.ifName,
  args: entry.cniArgs,
  capabilityArgs: entry.capabilityArgs,
});

/** Calls STATUS of every plugin. @throws CniError of the first plugin that is not ready, unchanged */
export function statusNetwork(list: NetworkList, runtime: Runtime): void {
  if (!isAtLeast(list.cniVersion, "1.1.0")) return;
  for (const plugin of list.plugins) {
    const stdin = requestOf(list, plugin, {});
    call("STATUS", plugin, { list, attachment: noAttachment, runtime, stdin });
  }
}

const noAttachment: RuntimeAttachment = {
  containerId: "",
  netns: undefined,
  ifName: "",
  args: [],
  capabilityArgs: {},
};

interface Injected {
  prevResult?: Result | undefined;
  capabilityArgs?: JsonObject;
  valid?: ValidAttachments;
}

/** Builds the configuration that one plugin gets: its own keys and those that the runtime adds, sorted as in the reference library. */
export function requestOf(
  list: NetworkList,
  plugin: PluginConf,
  { prevResult, capabilityArgs = {}, valid }: Injected,
): Uint8Array {
  const runtimeConfig = wantedArgs(plugin, capabilityArgs);
  const attachments = valid?.map(({ containerId, ifName }) => ({ containerID: containerId, ifname: ifName }));
  const conf: JsonObject = {
    ...plugin,
    name: list.name,
    cniVersion: list.cniVersion,
    ...(prevResult && { prevResult: encodeResult(prevResult, list.cniVersion) }),
    ...(Object.keys(runtimeConfig).length > 0 && { runtimeConfig }),
    ...(attachments && { "cni.dev/valid-attachments": attachments, "cni.dev/attachments": attachments }),
  };
  return encode(printJson(sortKeys(conf), ""));
}

/** Selects the capability arguments that the plugin asks for. */
function wantedArgs({ capabilities = {} }: PluginConf, args: JsonObject): JsonObject {
  const wanted = Object.entries(capabilities as JsonObject).filter(
    ([name, enabled]) => enabled === true && Object.hasOwn(args, name),
  );
  return Object.fromEntries(wanted.map(([name]): [string, Json] => [name, args[name] ?? null]));
}

interface Call {
  list: NetworkList;
  attachment: RuntimeAttachment;
  runtime: Runtime;
  stdin: Uint8Array;
}

/**
 * Calls one verb of one plugin. A plugin of this executable, or of a copy of it, runs in this process, and its variables are checked as they would be in
 * a process of its own; any other file is executed.
 *
 * @returns the result of an ADD
 */
function call(verb: string, { type }: PluginConf, { list, attachment, runtime, stdin }: Call): Result | undefined {
  const { containerId, netns, ifName } = attachment;
  const { path, delegates, host } = runtime;
  const args = attachment.args.map(([key, value]) => `${key}=${value}`).join(";");
  const isOwn = Object.hasOwn(delegates, type) && isSameProgram(findExecutable(type, path));
  const plugin = isOwn ? delegates[type] : undefined;
  if (plugin === undefined) {
    return invoke(verb, type, {
      stdin,
      cniVersion: list.cniVersion,
      containerId,
      netns,
      ifName,
      args,
      path,
      delegates,
      host,
    });
  }
  const variables = {
    ...environment(),
    CNI_COMMAND: verb,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns ?? "",
    CNI_IFNAME: ifName,
    CNI_ARGS: args,
    CNI_PATH: path.join(":"),
  };
  const parameters = readParameters(variables);
  if (parameters === undefined) return undefined; // cannot happen: there is a verb
  const streams = { ...standardStreams(), environment: variables };
  const { result, error } = perform(plugin, { ...parameters, stdin, delegates, host, streams });
  if (error !== undefined) throw error;
  return result;
}

const keyOf = ({ name }: NetworkList, { containerId, ifName }: RuntimeAttachment): CacheKey => ({
  networkName: name,
  containerId,
  ifName,
});

/** Adds the failed plugin to an error, in the reference library's words; a plugin of a list seldom has a name of its own. */
function named<T>({ type, name }: PluginConf, what: "add" | "delete", work: () => T): T {
  const own = typeof name === "string" && name !== "" ? ` name="${name}"` : "";
  return prefixed(`plugin type="${type}"${own} failed (${what})`, work);
}

/** Runs `work`; errors keep their code and get `what`, the action that failed, in front of their text. */
function prefixed<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code, msg, details } = failureOf(error);
    throw new CniError({ code, msg: `${what}: ${msg}`, details, remedy: "", cause: error });
  }
}
