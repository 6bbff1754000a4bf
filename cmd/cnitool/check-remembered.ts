/** check --all, check --container: CHECK of the attachments that the runtimes' caches of this host have. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { isAtLeast } from "../../pkg/cni/version.ts";
import type { Call } from "../../pkg/command-line/command.ts";
import { failureText } from "../../pkg/command-line/run-command.ts";
import { oneLine, printed } from "../../pkg/command-line/table.ts";
import { cachedNamespace } from "../../pkg/runtime/cached-namespace.ts";
import { cachedAttachment, checkNetwork } from "../../pkg/runtime/network.ts";
import { type NetworkList, parseList } from "../../pkg/runtime/network-list.ts";
import {
  attachmentsNamedBy,
  type CacheEntry,
  type DamagedFile,
  defaultCacheRoot,
  listCaches,
  nameOf,
} from "../../pkg/runtime/result-cache.ts";
import { pluginPathOrUsual } from "./paths.ts";

/** The outcome of one attachment, as `--json` prints it. */
interface Outcome {
  network: string;
  containerId: string;
  ifName: string;
  result: "ok" | "failed" | "not checked";
  /** Why it failed or was not checked. */
  message?: string;
}

interface Remembered {
  entry: CacheEntry;
  cacheRoot: string;
}

/**
 * Checks each attachment with the configuration and arguments of its ADD, and prints its outcome before the next one is checked.
 *
 * @returns the exit status: 1 when one failed, its namespace is gone or a file of the cache cannot be read
 */
export function checkRemembered(call: Call): number {
  const { stdout, stderr } = call.context.streams;
  const json = call.flags.has("json");
  const { attachments, damaged } = asked(call);
  const outcomes: Outcome[] = [];
  for (const remembered of attachments) {
    const { networkName: network, containerId, ifName } = remembered.entry;
    const name = oneLine(nameOf(remembered.entry));
    const outcome = outcomeOf(remembered, call, (error) => {
      if (!json) stderr(failureText(name, error));
    });
    outcomes.push({ network, containerId, ifName, ...outcome });
    if (json || outcome.result === "failed") continue;
    stdout(`${name}: ${outcome.result}${outcome.message === undefined ? "" : `: ${outcome.message}`}\n`);
  }
  for (const { path, reason } of damaged) stderr(`cnitool: damaged ${oneLine(path)}: ${reason}\n`);
  stdout(json ? printed(outcomes) : `${summary(outcomes)}\n`);
  return damaged.length > 0 || outcomes.some(({ result }) => result === "failed") ? 1 : 0;
}

function outcomeOf(
  remembered: Remembered,
  call: Call,
  tell: (error: unknown) => void,
): Pick<Outcome, "result" | "message"> {
  try {
    const message = checked(remembered, call);
    return message === undefined ? { result: "ok" } : { result: "not checked", message };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    tell(error);
    return { result: "failed", message: error.message };
  }
}

/** Checks one attachment. @returns why it was not checked. @throws CniError: CHECK fails, or the container is gone */
function checked({ entry, cacheRoot }: Remembered, { context }: Call): string | undefined {
  const list = parseList(entry.config, "the configuration in the cache");
  const namespace = cachedNamespace(entry);
  if (namespace.state === "dead")
    throw new CniError({
      code: ErrorCode.unknownContainer,
      msg: `its namespace ${namespace.path} is gone`,
      remedy: "twill gc deletes what such attachments left",
    });
  const reason = whyNotChecked(list, namespace.path);
  if (reason !== undefined) return reason;
  const runtime = {
    path: pluginPathOrUsual(context.streams.environment),
    cacheRoot,
    delegates: context.plugins,
  };
  checkNetwork(list, cachedAttachment(entry), runtime);
  return undefined;
}

function whyNotChecked(list: NetworkList, netns: string | undefined): string | undefined {
  if (list.disableCheck) return 'the configuration has "disableCheck"';
  if (!isAtLeast(list.cniVersion, "0.4.0")) return `its version ${list.cniVersion || "0.1.0"} has no CHECK`;
  if (list.plugins.length === 0) return "the configuration in the cache has no plugins";
  if (netns === undefined) return "the cache does not have the path of its namespace";
  return undefined;
}

function summary(outcomes: readonly Outcome[]): string {
  const count = (result: Outcome["result"]) => outcomes.filter((one) => one.result === result).length;
  const parts = (["ok", "failed", "not checked"] as const).map((result) => `${count(result)} ${result}`);
  return outcomes.length === 0 ? "no attachments" : `${outcomes.length} attachments: ${parts.join(", ")}`;
}

/** Returns the attachments that the arguments mean. @throws CniError 4: the arguments contradict each other; 3: there is no such container */
function asked({ operands: [network], flags }: Call): { attachments: readonly Remembered[]; damaged: DamagedFile[] } {
  const container = flags.get("container");
  if (container !== undefined && flags.has("all")) {
    const remedy = "write --all for every container of this host, or --container for one";
    throw new CniError({ code: ErrorCode.invalidEnvironment, msg: "both --all and --container are given", remedy });
  }
  const caches = listCaches(defaultCacheRoot);
  const ifName = flags.get("ifname");
  const attachments = caches
    .flatMap(({ root, entries }) => entries.map((entry) => ({ entry, cacheRoot: root })))
    .filter(({ entry }) => network === undefined || entry.networkName === network)
    .filter(({ entry }) => ifName === undefined || entry.ifName === ifName);
  const damaged = caches
    .flatMap((cache) => cache.damaged)
    .filter((file) => network === undefined || attachmentsNamedBy(file, network).length > 0);
  if (container === undefined) return { attachments, damaged };
  const damagedOfContainer = damaged.filter(({ name }) => name.includes(`-${container}`));
  const found = attachmentsOfContainer(container, attachments);
  if (found.length === 0 && damagedOfContainer.length === 0) throw notRemembered(container);
  return { attachments: found, damaged: damagedOfContainer };
}

/** Finds those of the container that has the ID, or else the only one whose ID begins with it; none when there is no such container. @throws CniError 4 */
function attachmentsOfContainer(id: string, attachments: readonly Remembered[]): readonly Remembered[] {
  const called = (isCalled: (id: string) => boolean) =>
    attachments.filter(({ entry: { containerId } }) => isCalled(containerId));
  const exact = called((containerId) => containerId === id);
  const found = exact.length > 0 || id === "" ? exact : called((containerId) => containerId.startsWith(id));
  const ids = [...new Set(found.map(({ entry }) => entry.containerId))];
  if (ids.length <= 1) return found;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `the IDs of ${ids.length} containers begin with ${JSON.stringify(id)}`,
    details: ids.join(", "),
    remedy: "write more of the ID",
  });
}

const notRemembered = (id: string): CniError =>
  new CniError({
    code: ErrorCode.unknownContainer,
    msg: `no runtime of this host remembers an attachment of container ${JSON.stringify(id)}`,
    remedy: "cnitool list shows the containers; an ID may be shortened",
  });
