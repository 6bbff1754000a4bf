/** `twill gc`: removes what dead containers left, of all networks of this node. */
import { failureOf } from "../../../pkg/cni/error.ts";
import type { Call, Command } from "../../../pkg/command-line/command.ts";
import { oneLine } from "../../../pkg/command-line/table.ts";
import { hostConnections } from "../../../pkg/firewall/host-connections.ts";
import { installedRuntimes } from "../../../pkg/runtime/installed-runtimes.ts";
import type { GarbagePlan, Runtime } from "../../../pkg/runtime/network.ts";
import { type NetworkList, parseList } from "../../../pkg/runtime/network-list.ts";
import { defaultCacheRoot, listCaches, nameOf } from "../../../pkg/runtime/result-cache.ts";
import { allPluginDirectories } from "../node/config-directories.ts";
import { configuredLists, loaded } from "../node/configured-lists.ts";
import { collect, safePlan } from "./safe-collection.ts";

export const gc: Command = {
  name: "gc",
  operands: "",
  required: 0,
  most: 0,
  about: "remove what dead containers left, of all networks of this node",
  details: [
    "Runtimes like podman, containerd and nerdctl never call GC. This deletes attachments whose namespace is provably gone, of all",
    "networks that are configured or that runtimes remember, and has plugins remove what belongs to nobody. What cannot be told is",
    "alive: also when a runtime's cache is lost, containers that run keep addresses, links and rules. conf/twill-gc.timer runs it.",
    "It prints what it deletes. The exit status is 1 when something could not be done, or a file of the cache cannot be read.",
  ].join("\n"),
  flags: [{ name: "dry-run", about: "print which attachments would be deleted, and change nothing" }],
  examples: ["twill gc --dry-run", "twill gc"],
  run(call) {
    const failures = networksOfNode(call).map((network) => collected(network, call));
    return failures.includes(true) ? 1 : 0;
  },
};

interface Network {
  list: NetworkList;
  runtime: Runtime;
}

/** @returns whether something failed */
function collected({ list, runtime }: Network, { flags, context: { streams } }: Call): boolean {
  const { stdout, stderr } = streams;
  const tell = (text: string) => stderr(`twill gc: network ${oneLine(list.name)}: ${text}\n`);
  try {
    const plan: GarbagePlan = safePlan(list, runtime);
    for (const { path, reason } of plan.damaged)
      tell(`damaged ${oneLine(path)}: ${reason}; kept what it may belong to`);
    if (flags.has("dry-run")) stdout(plan.stale.map((entry) => `${nameOf(entry)}: to be deleted\n`).join(""));
    else collect(list, plan, runtime, (entry) => stdout(`${nameOf(entry)}: deleted\n`));
    return plan.damaged.length > 0;
  } catch (error) {
    tell(failureOf(error).message);
    return true;
  }
}

/** Returns the networks of all configurations, and those whose file is gone, as the runtimes' cache has them. */
function networksOfNode({ context }: Call): Network[] {
  const { environment } = context.streams;
  const installed = installedRuntimes();
  const warn = (text: string) => context.streams.stderr(`twill gc: ${text}\n`);
  const configured = configuredLists(installed, environment, warn);
  const remembered = listCaches(defaultCacheRoot)
    .flatMap(({ entries }) => entries)
    .flatMap((entry) => loaded(() => parseList(entry.config, `cached result of ${nameOf(entry)}`), warn))
    .map((list) => ({ list, path: allPluginDirectories(installed, environment) }));
  const byName = new Map([...remembered, ...configured.reverse()].map((network) => [network.list.name, network]));
  const host = hostConnections();
  return [...byName.values()].map(({ list, path }) => ({
    list,
    runtime: { path, cacheRoot: defaultCacheRoot, delegates: context.plugins, host },
  }));
}
