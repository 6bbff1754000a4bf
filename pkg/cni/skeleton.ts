/**
 * The part that all plugins have in common: from environment and stdin to a call of one of the plugin's verbs, from its answer to
 * stdout and the exit status.
 *
 * All input and output goes through `Streams`, so that the order of checks is tested without a process.
 *
 * @see CNI specification, section 2 "Execution Protocol"
 */

import { nearest } from "../config/edit-distance.ts";
import { sameKey } from "../config/go-json.ts";
import { type Json, type JsonObject, printJson } from "../config/json.ts";
import { unknownKeyWarning } from "../config/unknown-keys.ts";
import { monotonicMs } from "../sys/clock.ts";
import { isOwnNamespace } from "../sys/namespace.ts";
import { aboutText } from "./about.ts";
import type { Answer } from "./answer.ts";
import { withCallLog } from "./call-log.ts";
import { decodePrevResult } from "./decode-result.ts";
import { encodeResult, printResult } from "./encode-result.ts";
import { checkNetworkName, type Parameters, readParameters } from "./environment.ts";
import { CniError, ErrorCode, errorText, failureOf, invalidConf, printError } from "./error.ts";
import { isSlow, recordCall } from "./failed-calls.ts";
import { checkedConf, type Document, fittingConf, readDocument } from "./netconf.ts";
import type { AnyPlugin, Attachment, Delegates, Gc, HostConnections, Request } from "./plugin.ts";
import { type Streams, standardStreams } from "./process-io.ts";
import type { Result } from "./result.ts";
import { withRollback } from "./rollback.ts";
import { compareVersions, isAtLeast, newestVersion, oldestVersion, supportedVersions } from "./version.ts";

/** The parameters of a call, from the environment or from the plugin that delegates. */
export interface Call extends Parameters {
  stdin: Uint8Array;
  delegates: Delegates;
  host?: HostConnections | undefined;
  streams: Pick<Streams, "environment" | "stderr">;
}

interface Verb {
  /** The first version of the specification that has the verb. */
  since: string;
  /** Whether the verb would change the plugin's own namespace if CNI_NETNS named that one. */
  isGuarded?: boolean;
  run(plugin: AnyPlugin, request: Request<unknown>, call: Call, document: Document): Result | undefined;
}

const verbs = new Map<string, Verb>(
  Object.entries<Verb>({
    ADD: {
      since: oldestVersion,
      isGuarded: true,
      run: (plugin, request, call, document) =>
        addAndTell(plugin, attachmentOf(request, call, prevResultOf(document, request.cniVersion))),
    },
    DEL: {
      since: oldestVersion,
      isGuarded: true,
      run: (plugin, request, call, document) => {
        plugin.del(attachmentOf(request, call, findPrevResult(plugin, request, call, document)));
      },
    },
    CHECK: {
      since: "0.4.0",
      run: (plugin, request, call, document) => {
        plugin.check(attachmentOf(request, call, prevResultOf(document, request.cniVersion)));
      },
    },
    GC: {
      since: "1.1.0",
      run: (plugin, request, call, document) => {
        const validAttachments = validAttachmentsOf(document);
        if (validAttachments !== undefined) plugin.gc({ ...request, validAttachments });
        else warn(plugin, call, request.network, NOTHING_COLLECTED);
      },
    },
    STATUS: {
      since: "1.1.0",
      run: (plugin, request) => {
        plugin.status(request);
      },
    },
  }),
);

/** Runs a plugin as the process's whole work. @returns the exit status */
export function runPlugin(
  plugin: AnyPlugin,
  { delegates, version, streams = standardStreams() }: { delegates: Delegates; version: string; streams?: Streams },
): number {
  const verb = streams.environment["CNI_COMMAND"] ?? "";
  if (verb === "") {
    streams.stderr(aboutText(plugin, version, streams.program));
    return 0;
  }
  const { answer, call, startedMs } = answerTo(plugin, verb, delegates, streams);
  try {
    streams.stdout(textOf(plugin, verb, answer));
  } catch (error) {
    const undone = call !== undefined && answer.result !== undefined && perform(plugin, { ...call, verb: "DEL" });
    const outcome = !undone ? "" : undone.error === undefined ? "; the ADD was undone" : `; ${undone.error.message}`;
    const text = `the answer to ${verb} cannot be written: ${errorText(error)}${outcome}`;
    streams.stderr(`${plugin.name}: ${text}\n`);
    record({ ...answer, error: failureOf(error) }, { plugin, verb, streams, startedMs });
    return 1;
  }
  if (answer.error !== undefined || (startedMs !== undefined && isSlow(startedMs, streams.environment)))
    record(answer, { plugin, verb, streams, startedMs });
  return answer.error === undefined ? 0 : 1;
}

interface Ended {
  plugin: AnyPlugin;
  verb: string;
  streams: Streams;
  /** Absent: the plugin was not called. */
  startedMs: number | undefined;
}

/** Records a call that failed or was slow. What a plugin calls in its own process is part of its call. */
function record({ network, error }: Answer, { plugin, verb, streams, startedMs }: Ended): void {
  const { failedCalls, environment } = streams;
  if (failedCalls === undefined) return;
  const { CNI_CONTAINERID: container, CNI_IFNAME: ifname } = environment;
  const entry = {
    plugin: plugin.name,
    verb,
    ...(network !== undefined && { network }),
    ...(container && { container }),
    ...(ifname && { ifname }),
    ...(error && { error: { code: error.code, msg: error.msg, details: error.details } }),
  };
  recordCall(failedCalls, entry, { startedMs: startedMs ?? monotonicMs(), environment });
}

function answerTo(
  plugin: AnyPlugin,
  verb: string,
  delegates: Delegates,
  streams: Streams,
): { answer: Answer; call?: Call; startedMs?: number } {
  const answer: Answer = { cniVersion: newestVersion };
  try {
    const parameters = readParameters(streams.environment);
    if (parameters !== undefined && verb !== "VERSION") {
      const startedMs = monotonicMs();
      const call = { ...parameters, stdin: streams.stdin(), delegates, streams };
      return { answer: perform(plugin, call), call, startedMs };
    }
  } catch (error) {
    answer.error = failureOf(error);
  }
  return { answer: withCallLog({ plugin: plugin.name, verb, streams }, () => answer) };
}

function textOf(plugin: AnyPlugin, verb: string, { cniVersion, result, error }: Answer): string {
  if (error !== undefined) return printError(error, cniVersion);
  if (verb === "VERSION") return `${printJson({ cniVersion, supportedVersions: versionsOf(plugin) }, "")}\n`;
  return result === undefined ? "" : printResult(result, cniVersion);
}

/** Calls a verb: makes every check in the order of the specification, then calls the plugin. Never throws. */
export function perform(plugin: AnyPlugin, call: Call): Answer {
  return withCallLog({ ...call, plugin: plugin.name }, () => attempt(plugin, call));
}

function attempt(plugin: AnyPlugin, call: Call): Answer {
  const answer: Answer = { cniVersion: newestVersion };
  try {
    const document = readDocument(call.stdin, plugin.validate);
    const { name, cniVersion = "" } = document.normalizedConf;
    if (supportedVersions.some((known) => known === cniVersion)) answer.cniVersion = String(cniVersion);
    checkNetworkName(name);
    answer.network = name;
    const verb = verbs.get(call.verb);
    if (verb === undefined) throw unknownVerb(call.verb);
    answer.cniVersion = agreedVersion(cniVersion, verb, call.verb, plugin);
    if (verb.isGuarded) refuseOwnNamespace(call);
    const result = verb.run(plugin, requestOf(plugin, call, document, answer.cniVersion), call, document);
    if (result !== undefined) answer.result = result;
  } catch (error) {
    answer.error = failureOf(error);
  }
  return answer;
}

function requestOf(plugin: AnyPlugin, call: Call, document: Document, cniVersion: string): Request<unknown> {
  const network = String(document.normalizedConf["name"]);
  if (call.verb === "ADD") refuseList(plugin, network, document);
  const conf =
    call.verb === "DEL" ? confForDel(plugin, call, network, document) : checkedConf<unknown>(document, plugin.validate);
  warnOfUnknownKeys(plugin, call, network, document);
  return { conf, cniVersion, network, stdin: call.stdin, path: call.path, delegates: call.delegates, host: call.host };
}

/** Refuses a list of plugins: without its keys, the plugin would do what its defaults say. @throws CniError 7 */
function refuseList({ name }: AnyPlugin, network: string, { raw }: Document): void {
  if (!Array.isArray(raw["plugins"])) return;
  throw invalidConf(
    '"plugins" makes this a list of plugins, must be the configuration of one plugin',
    `have a runtime run it, or cnitool add ${network} NAMESPACE; by hand, pass the part of ${name} with the list's "cniVersion" and "name"`,
  );
}

/** A configuration for something else can have thousands. */
const MOST_KEYS_TOLD = 20;

function warnOfUnknownKeys(plugin: AnyPlugin, call: Call, network: string, { unknownKeys }: Document): void {
  const told = unknownKeys.slice(0, MOST_KEYS_TOLD);
  for (const key of told) warn(plugin, call, network, unknownKeyWarning(key));
  const left = unknownKeys.length - told.length;
  if (left > 0) warn(plugin, call, network, `${left} more unknown keys are ignored`);
}

/** Reads the configuration for DEL. A part that ADD would refuse must not prevent a removal. */
function confForDel(plugin: AnyPlugin, call: Call, network: string, document: Document): unknown {
  const left: string[] = [];
  const conf = fittingConf(document, plugin.validate, (problem) => left.push(problem));
  warnOfIgnored(plugin, call, network, "the configuration", left);
  return conf;
}

/** Warns of the first part that was left out; a document can have thousands. */
function warnOfIgnored(
  plugin: AnyPlugin,
  call: Call,
  network: string,
  document: string,
  [first, ...others]: readonly string[],
): void {
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  if (first !== undefined) warn(plugin, call, network, `ignores a part of ${document}: ${first}${more}`);
}

function warn({ name }: AnyPlugin, { streams }: Call, network: string, text: string): void {
  streams.stderr(`${name}: network "${network}": ${text}\n`);
}

const versionsOf = ({ versions = supportedVersions }: AnyPlugin): readonly string[] => versions;

/**
 * Returns the configuration's version, "0.1.0" when it has none.
 *
 * @throws CniError 1: the version does not have the verb, or the plugin does not support the version. 6: not a version. 7: not a
 * string.
 */
function agreedVersion(given: Json, { since }: Verb, verb: string, plugin: AnyPlugin): string {
  const versions = versionsOf(plugin);
  const remedy = `set "cniVersion" to one of ${versions.join(", ")} in the network's configuration`;
  if (typeof given !== "string") {
    const msg = `"cniVersion" is ${JSON.stringify(given)}, must be a string`;
    throw new CniError({ code: ErrorCode.invalidConfig, msg, remedy });
  }
  const version = given === "" ? oldestVersion : given;
  if (!isAtLeast(version, since)) {
    throw new CniError({
      code: ErrorCode.incompatibleVersion,
      msg: `config version does not allow ${verb}`,
      details: `config is "${version}", ${verb} exists since ${since}`,
      remedy: `set "cniVersion" to ${since} or later in the network's configuration`,
    });
  }
  if (since !== oldestVersion && !versions.some((own) => compareVersions(own, version) >= 0)) {
    throw new CniError({
      code: ErrorCode.incompatibleVersion,
      msg: `plugin version does not allow ${verb}`,
      details: `config is "${version}", plugin supports [${versions.join(" ")}]`,
      remedy,
    });
  }
  if (!versions.includes(version)) {
    throw new CniError({
      code: ErrorCode.incompatibleVersion,
      msg: "incompatible CNI versions",
      details: `config is "${version}", plugin supports [${versions.join(" ")}]`,
      remedy,
    });
  }
  return version;
}

function unknownVerb(verb: string): CniError {
  const meant = nearest(verb, [...verbs.keys(), "VERSION"]);
  return new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `unknown CNI_COMMAND: ${verb}`,
    remedy: meant === undefined ? `use one of ${[...verbs.keys()].join(", ")}, VERSION` : `did you mean ${meant}?`,
  });
}

/** Refuses before the work, not after it as the reference skeleton does: a host that lost its addresses is hard to repair. */
function refuseOwnNamespace({ netns, streams }: Call): void {
  if (netns === undefined || isSet(streams.environment["CNI_NETNS_OVERRIDE"]) || !isOwnNamespace(netns)) return;
  throw new CniError({
    code: ErrorCode.invalidNetns,
    msg: `CNI_NETNS "${netns}" is the network namespace that the plugin itself runs in`,
    remedy: "pass the container's namespace, or set CNI_NETNS_OVERRIDE=1 if this one is intended",
  });
}

const isSet = (text = ""): boolean => ["1", "true"].includes(text.toLowerCase());

/** Calls ADD, and undoes it when its result cannot be printed. Only 0.1.0 and 0.2.0 cannot express every result: they need an address. */
function addAndTell(plugin: AnyPlugin, attachment: Attachment<unknown>): Result {
  return withRollback((undo) => {
    const result = plugin.add(attachment);
    undo("undo the ADD", () => plugin.del(attachment));
    if (!isAtLeast(attachment.cniVersion, "0.3.0")) encodeResult(result, attachment.cniVersion);
    return result;
  });
}

function attachmentOf(
  request: Request<unknown>,
  { containerId, netns, ifName, args }: Call,
  prevResult: Result | undefined,
): Attachment<unknown> {
  return { ...request, containerId, netns, ifName, args, prevResult };
}

function prevResultOf(
  { normalizedConf }: Document,
  cniVersion: string,
  ignore?: (problem: string) => void,
): Result | undefined {
  const prevResult = normalizedConf["prevResult"];
  return prevResult === undefined ? undefined : decodePrevResult(prevResult, cniVersion, ignore);
}

/** Reads prevResult for DEL. An unreadable part must neither prevent a removal nor cause another one. */
function findPrevResult(
  plugin: AnyPlugin,
  request: Request<unknown>,
  call: Call,
  document: Document,
): Result | undefined {
  const ignored: string[] = [];
  try {
    return prevResultOf(document, request.cniVersion, (problem) => ignored.push(problem));
  } catch (error) {
    warn(plugin, call, request.network, `continues without prevResult: ${failureOf(error).message}`);
    return undefined;
  } finally {
    warnOfIgnored(plugin, call, request.network, "prevResult", ignored);
  }
}

/**
 * Returns the attachments listed under both names that runtimes use, so that none is wrongly taken for gone; undefined when neither key is
 * there, as with the reference library's own `cnitool gc`. `null` is an empty list.
 */
function validAttachmentsOf({ raw, normalizedConf }: Document): Gc<unknown>["validAttachments"] | undefined {
  if (!Object.keys(raw).some((key) => attachmentKeys.some((name) => sameKey(key, name)))) return undefined;
  return attachmentKeys
    .flatMap((key) => (normalizedConf[key] ?? []) as readonly JsonObject[])
    .map(({ containerID, ifname }) => ({ containerId: String(containerID), ifName: String(ifname) }));
}
const attachmentKeys = ["cni.dev/valid-attachments", "cni.dev/attachments"] as const;
const NOTHING_COLLECTED = `GC removes nothing: "${attachmentKeys[0]}" is missing, the list of what must stay`;
