/** add, check, del, gc, status: the commands of the Go tool, with its environment, files and container IDs. */
import { readPairs } from "../../pkg/cni/args.ts";
import { printResult } from "../../pkg/cni/encode-result.ts";
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Streams } from "../../pkg/cni/process-io.ts";
import type { ToolContext } from "../../pkg/cni/tool.ts";
import { type Call, type Command, type Flag, jsonFlag } from "../../pkg/command-line/command.ts";
import { refuseWrongCount } from "../../pkg/command-line/command-line.ts";
import { nearest } from "../../pkg/config/edit-distance.ts";
import { isObject, type JsonObject, JsonSyntaxError, parseJson, showJson } from "../../pkg/config/json.ts";
import { hostConnections } from "../../pkg/firewall/host-connections.ts";
import { cachedNamespace } from "../../pkg/runtime/cached-namespace.ts";
import { containerIdOf } from "../../pkg/runtime/container-id.ts";
import {
  addNetwork,
  checkNetwork,
  collectGarbage,
  deleteNetwork,
  orDeleted,
  planGarbageCollection,
  type Runtime,
  type RuntimeAttachment,
  statusNetwork,
} from "../../pkg/runtime/network.ts";
import { defaultConfigDirectory, loadNetwork, type NetworkList } from "../../pkg/runtime/network-list.ts";
import {
  attachmentsNamedBy,
  type CacheEntry,
  type DamagedFile,
  defaultCacheRoot,
  nameOf,
  readCache,
} from "../../pkg/runtime/result-cache.ts";
import { findStat, readLink } from "../../pkg/sys/file.ts";
import { containerIds, namespacePaths, pluginNetworks } from "./candidates.ts";
import { checkRemembered } from "./check-remembered.ts";
import { configDirectory, pluginPath } from "./paths.ts";

const ifNameFlag: Flag = {
  name: "ifname",
  short: "i",
  value: "NAME",
  about: "name of the interface in the container (default: CNI_IFNAME, or eth0)",
};

const usage = {
  operands: "<network-name> <netns-path>",
  required: 2,
  most: 2,
  flags: [ifNameFlag],
  complete: ({ length }: readonly string[], context: ToolContext) =>
    length === 0 ? pluginNetworks(context) : length === 1 ? namespacePaths() : [],
};

/** Commands that do not use the namespace: the Go tool demands one, and any is taken. */
const usageOfNetwork = { ...usage, operands: "<network-name> [netns-path]", required: 1 };

const configured = `The network is found by its name in NETCONFPATH (${defaultConfigDirectory}), its plugins in CNI_PATH.`;

export const add: Command = {
  ...usage,
  name: "add",
  about: "attach a namespace to a network",
  details: [
    "Runs ADD of the network's plugins one after the other and prints the result as JSON. When one fails after others have succeeded,",
    `or the result cannot be printed, runs DEL of all, as runtimes do.\n${configured}`,
  ].join("\n"),
  examples: ["ip netns add example", "CNI_PATH=/opt/cni/bin cnitool add example /run/netns/example"],
  run(call) {
    const { list, runtime, attachment } = attachmentOf(call);
    tellUnused(attachment.capabilityArgs, list, call.context.streams);
    const result = printResult(addNetwork(list, attachment, runtime), list.cniVersion);
    orDeleted(() => call.context.streams.stdout(`${result}\n`), list, attachment, runtime);
    return 0;
  },
};

export const check: Command = {
  ...usage,
  name: "check",
  required: 0,
  flags: [
    ifNameFlag,
    { name: "all", about: "check every attachment in the runtimes' cache, of the network if one is named" },
    {
      name: "container",
      value: "ID",
      about: "check the attachments of this container in the runtimes' cache",
      complete: containerIds,
    },
    jsonFlag,
  ],
  about: "check whether an attachment, or every one of a container or of this host, is as ADD created it",
  details: [
    "Runs CHECK of the network's plugins. If CNI_ARGS and CAP_ARGS are not set, plugins get those of the add.",
    configured,
    "With --all or --container (then the only argument is a network's name, or none): those that cnitool list shows, each with the",
    "configuration and arguments of its ADD; plugins are looked for in CNI_PATH or else the usual directories. A line for each is printed",
    "as it is checked, or with --json a list at the end. The exit status is 1 when one failed or its container is gone.",
  ].join("\n"),
  examples: [
    "CNI_PATH=/opt/cni/bin cnitool check example /run/netns/example",
    "CNI_PATH=/opt/cni/bin cnitool check --all",
    "CNI_PATH=/opt/cni/bin cnitool check --all --json example",
  ],
  run(call) {
    if (call.flags.has("all") || call.flags.has("container")) {
      refuseWrongCount({ ...check, operands: "[network-name]", most: 1 }, call.operands, "cnitool");
      return checkRemembered(call);
    }
    refuseWrongCount({ ...check, required: 2 }, call.operands, "cnitool");
    refuseJsonOfOne(call);
    const { list, runtime, attachment } = attachmentOf(call);
    checkNetwork(list, asAdded(list, attachment, runtime, call.context), runtime);
    return 0;
  },
};

function refuseJsonOfOne({ flags }: Call): void {
  if (!flags.has("json")) return;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: "--json is for --all and --container",
    remedy: "remove it: check of one attachment prints nothing but its error",
  });
}

export const del: Command = {
  ...usage,
  name: "del",
  about: "detach a namespace from a network",
  details: [
    "Runs DEL of the network's plugins, the last one first. The namespace need not exist any more, and DEL may be repeated.",
    `If CNI_ARGS and CAP_ARGS are not set, plugins get those of the add.\n${configured}`,
  ].join("\n"),
  examples: ["CNI_PATH=/opt/cni/bin cnitool del example /run/netns/example"],
  run(call) {
    const { list, runtime, attachment } = attachmentOf(call);
    deleteNetwork(list, asAdded(list, attachment, runtime, call.context), runtime);
    return 0;
  },
};

export const gc: Command = {
  ...usageOfNetwork,
  name: "gc",
  flags: [
    ifNameFlag,
    { name: "dead", about: "keep attachments whose namespace exists, or may exist" },
    { name: "dry-run", about: "print which attachments would be deleted, and change nothing" },
  ],
  about: "delete the attachments of a network and what belongs to no attachment",
  details: [
    "Deletes EVERY attachment of the network that a runtime of this host remembers (cnitool list shows them), as the Go tool does,",
    "then runs GC of the plugins, which remove what belongs to no attachment. It prints what it deletes.",
    "Attachments that a damaged cache file may belong to are kept, and the exit status is 1.",
    configured,
  ].join("\n"),
  examples: [
    "CNI_PATH=/opt/cni/bin cnitool gc --dead --dry-run example",
    "CNI_PATH=/opt/cni/bin cnitool gc --dead example",
  ],
  run(call) {
    const { list, runtime } = networkOf(call);
    const { stdout, stderr } = call.context.streams;
    const isValid = (entry: CacheEntry) => call.flags.has("dead") && cachedNamespace(entry).state !== "dead";
    const plan = planGarbageCollection(list, isValid, runtime);
    for (const file of plan.damaged) stderr(`cnitool: ${keptBecauseOf(file, list)}\n`);
    if (call.flags.has("dry-run")) stdout(plan.stale.map((entry) => `${nameOf(entry)}: to be deleted\n`).join(""));
    else {
      const validNow = () => [...plan.valid, ...planGarbageCollection(list, isValid, runtime).valid];
      const told = (entry: CacheEntry) => stdout(`${nameOf(entry)}: deleted\n`);
      collectGarbage(list, plan, { ...runtime, host: hostConnections() }, told, validNow);
    }
    return plan.damaged.length === 0 ? 0 : 1;
  },
};

function keptBecauseOf(file: DamagedFile, list: NetworkList): string {
  const kept = attachmentsNamedBy(file, list.name).map(({ containerId, ifName }) => `${containerId} ${ifName}`);
  return (
    `damaged ${file.path}: ${file.reason}; kept the attachments that it may belong to: ${kept.join(", or ")}\n` +
    "  To fix: if that container no longer exists, remove the file and run gc again"
  );
}

export const status: Command = {
  ...usageOfNetwork,
  name: "status",
  about: "check whether a network's plugins are ready",
  details: `Runs STATUS of the network's plugins. STATUS exists since version 1.1.0: networks of older versions count as ready.\n${configured}`,
  examples: ["CNI_PATH=/opt/cni/bin cnitool status example"],
  run(call) {
    const { list, runtime } = networkOf(call);
    statusNetwork(list, runtime);
    return 0;
  },
};

interface AskedNetwork {
  list: NetworkList;
  runtime: Runtime;
}

interface Asked extends AskedNetwork {
  attachment: RuntimeAttachment;
}

function networkOf({ operands: [name = ""], context }: Call): AskedNetwork {
  const { environment, stderr } = context.streams;
  refusePathAsName(name);
  const list = loadNetwork(configDirectory(environment), name, (text) => stderr(`cnitool: ${text}\n`));
  return { list, runtime: { path: pluginPath(environment), cacheRoot: defaultCacheRoot, delegates: context.plugins } };
}

function attachmentOf(call: Call): Asked {
  const { operands, flags, context } = call;
  const [, operand = ""] = operands;
  const { environment } = context.streams;
  refuseNameAsPath(operand);
  const { list, runtime } = networkOf(call);
  const netns = absolutePath(operand);
  const attachment = {
    containerId: containerIdOf(netns),
    netns,
    ifName: flags.get("ifname") || environment["CNI_IFNAME"] || "eth0",
    args: cniArgs(environment["CNI_ARGS"] ?? ""),
    capabilityArgs: capabilityArgs(environment["CAP_ARGS"] ?? ""),
  };
  return { list, runtime, attachment };
}

/** Warns about capability arguments that no plugin of the network takes, which runtimes pass on to nobody. */
function tellUnused(given: JsonObject, { name, plugins }: NetworkList, { stderr }: Streams): void {
  const taken = plugins.flatMap(({ capabilities }) =>
    isObject(capabilities) ? Object.keys(capabilities).filter((key) => capabilities[key] === true) : [],
  );
  for (const key of Object.keys(given).filter((one) => !taken.includes(one))) {
    const meant = nearest(key, taken);
    const all = taken.length === 0 ? "they have none" : `they have ${taken.join(", ")}`;
    const hint = meant === undefined ? all : `did you mean ${JSON.stringify(meant)}?`;
    stderr(`cnitool: CAP_ARGS: ${JSON.stringify(key)} is a capability of no plugin of network "${name}": ${hint}\n`);
  }
}

/** @throws CniError 4: a path, or the operands in the wrong order */
export function refusePathAsName(name: string): void {
  if (!name.includes("/")) return;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `the first argument must be the network's name, ${JSON.stringify(name)} is a path`,
    remedy:
      "write the name, then the namespace's path, as `cnitool add podnet /run/netns/example`; cnitool validate shows the names",
  });
}

/** Refuses a name of `ip netns add`, also of a namespace that is gone: DEL would succeed and delete nothing. @throws CniError 4 */
export function refuseNameAsPath(operand: string, exists = (path: string) => findStat(path) !== undefined): void {
  if (operand === "" || operand.includes("/") || exists(operand)) return;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `${JSON.stringify(operand)} is a namespace's name, must be its path`,
    remedy: `write /run/netns/${operand}, or ./${operand} for a file of this directory`,
  });
}

/** @throws CniError 4: the path is empty */
export function absolutePath(path: string, workingDirectory = () => readLink("/proc/self/cwd")): string {
  if (path === "") {
    const remedy = "pass the namespace's path, as /run/netns/example; a shell variable may be empty";
    throw new CniError({ code: ErrorCode.invalidEnvironment, msg: "the path of the namespace is empty", remedy });
  }
  const parts: string[] = [];
  for (const part of `${path.startsWith("/") ? "" : workingDirectory()}/${path}`.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** @throws CniError 4 */
export function cniArgs(text: string): [string, string][] {
  const pairs = readPairs(text);
  const half = pairs.find(([key, value]) => key === "" || value === "");
  if (half === undefined) return pairs;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `invalid CNI_ARGS pair ${JSON.stringify(half.join("="))}`,
    remedy: "write a key and a value, as KEY=VALUE, or remove it",
  });
}

/** @throws CniError 4 */
export function capabilityArgs(text: string): JsonObject {
  if (text === "") return {};
  const remedy = `write an object with a key for each capability, as CAP_ARGS='{"mac": "0a:58:0a:01:00:02"}'`;
  try {
    const value = parseJson(text);
    if (isObject(value)) return value;
    throw new CniError({
      code: ErrorCode.invalidEnvironment,
      msg: `CAP_ARGS is ${showJson(value)}, must be a JSON object`,
      remedy,
    });
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    const msg = `CAP_ARGS is not JSON: ${error.message}`;
    throw new CniError({ code: ErrorCode.invalidEnvironment, msg, remedy: error.remedy ?? remedy, cause: error });
  }
}

/**
 * Adds the arguments of the add where none are given now. CHECK and DEL have to get the same ones: a plugin that does not get a
 * port mapping may leave it behind.
 */
function asAdded(
  list: NetworkList,
  attachment: RuntimeAttachment,
  { cacheRoot }: Runtime,
  { streams }: ToolContext,
): RuntimeAttachment {
  const { containerId, ifName } = attachment;
  const entry = usableEntry(() => readCache(cacheRoot, { networkName: list.name, containerId, ifName }), streams);
  if (entry === undefined) return attachment;
  return {
    ...attachment,
    ...(streams.environment["CNI_ARGS"] ? {} : { args: entry.cniArgs }),
    ...(streams.environment["CAP_ARGS"] ? {} : { capabilityArgs: entry.capabilityArgs }),
  };
}

function usableEntry(read: () => CacheEntry | undefined, { stderr }: Streams): CacheEntry | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    stderr(`cnitool: ${error.msg}: plugins get the present CNI_ARGS and CAP_ARGS, not those of the add\n`);
    return undefined;
  }
}
