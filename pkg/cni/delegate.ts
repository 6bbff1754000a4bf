/**
 * Calls another plugin: an IPAM plugin, or the plugin that a meta plugin delegates to.
 *
 * CNI_PATH decides which file that is. When it is the executable that is running already, or a copy of it, its code is called in this process, which
 * saves starting another one; any other file is executed as the specification says.
 *
 * @see CNI specification, section 4 "Plugin Delegation"
 */

import { isObject, type Json, parseJson, showJson } from "../config/json.ts";
import type { Connection } from "../netlink/connection.ts";
import { monotonicMs, sleepMs } from "../sys/clock.ts";
import { isErrno } from "../sys/errno.ts";
import { environment, type Outcome, run } from "../sys/process.ts";
import { decode, encode } from "../sys/text.ts";
import { decodeResult, type Origin } from "./decode-result.ts";
import { CniError, ErrorCode, invalidConf, receivedError } from "./error.ts";
import { type Executable, findExecutable, PluginNotStarted } from "./find-executable.ts";
import { checkedConf, readDocument } from "./netconf.ts";
import type { Attachment, Delegates, Gc, HostConnections, Request, RestoreOptions } from "./plugin.ts";
import { standardStreams } from "./process-io.ts";
import type { Result } from "./result.ts";
import { isSameProgram } from "./same-build.ts";
import { perform } from "./skeleton.ts";
import { newestVersion, oldestVersion, supportedVersions } from "./version.ts";

/**
 * Calls ADD of the plugin `type`, with the caller's environment and complete configuration (`attachment.stdin`; to pass a different
 * configuration, pass a copy of the attachment that has it).
 *
 * When it fails, the caller has to call `delegateDel`: register that as an undo *before* this call.
 *
 * @throws the delegate's CniError, unchanged.
 */
export function delegateAdd(attachment: Attachment<unknown>, type: string): Result {
  refuseAsIpam(attachment, type);
  return invokeAdd(type, attachment);
}

export function delegateDel(attachment: Attachment<unknown>, type: string): void {
  if (!isEndless(attachment, type)) invoke("DEL", type, attachment); // else ADD was refused
}

export function delegateCheck(attachment: Attachment<unknown>, type: string): void {
  refuseAsIpam(attachment, type);
  invoke("CHECK", type, attachment);
}

export function delegateGc(gc: Gc<unknown>, type: string): void {
  refuseAsIpam(gc, type);
  invoke("GC", type, { ...gc, ...noAttachment });
}

export function delegateStatus(request: Request<unknown>, type: string): void {
  refuseAsIpam(request, type);
  invoke("STATUS", type, { ...request, ...noAttachment });
}

/**
 * Restores the rules that ADD of the plugin `type` made, if it is one of ours and makes rules. Reads its configuration from
 * `attachment.stdin`, of which only the types are checked, as the attachment exists.
 */
export function delegateRestore(
  attachment: Attachment<unknown>,
  type: string,
  netfilter: () => Connection,
  options: RestoreOptions,
): void {
  const { delegates, stdin } = attachment;
  const plugin = Object.hasOwn(delegates, type) ? delegates[type] : undefined;
  if (plugin?.restore === undefined) return;
  const document = readDocument(stdin, plugin.validate);
  const conf = checkedConf(document, plugin.validate, { anyValue: true });
  const cniVersion = String(document.normalizedConf["cniVersion"] ?? "");
  plugin.restore({ ...attachment, conf, cniVersion }, netfilter, options);
}

/**
 * Reports whether a configuration names as IPAM plugin one of ours that is none. With the same configuration that one would call its IPAM
 * plugin, itself, without end.
 */
function isEndless({ conf, delegates }: Request<unknown>, type: string): boolean {
  if ((conf as { ipam?: { type?: string } } | undefined)?.ipam?.type !== type) return false;
  return Object.hasOwn(delegates, type) && delegates[type]?.isIpam !== true;
}

function refuseAsIpam(request: Request<unknown>, type: string): void {
  if (!isEndless(request, type)) return;
  const names = Object.keys(request.delegates).filter((name) => request.delegates[name]?.isIpam === true);
  throw invalidConf(
    `"ipam.type" is "${type}", which is not an IPAM plugin`,
    `use an IPAM plugin, as ${names.join(", ")}, or remove "ipam" for a layer 2 attachment`,
  );
}

const noAttachment = { containerId: "", netns: undefined, ifName: "", args: "" };

/** The parameters of a call of a plugin. */
export interface Invocation {
  stdin: Uint8Array;
  cniVersion: string;
  containerId: string;
  netns: string | undefined;
  ifName: string;
  args: string;
  path: readonly string[];
  delegates: Delegates;
  host?: HostConnections | undefined;
}

/** Calls ADD. @throws the plugin's CniError, unchanged, or one that says what is wrong with the plugin. */
function invokeAdd(type: string, invocation: Invocation): Result {
  const result = invoke("ADD", type, invocation);
  if (result === undefined) throw new Error(`ADD of ${type} has no result`); // invoke has thrown already
  return result;
}

/**
 * Calls a verb. @returns the result of an ADD. @throws the plugin's CniError, unchanged, or one that says what is wrong with the
 * plugin.
 */
export function invoke(verb: string, type: string, invocation: Invocation): Result | undefined {
  const executable = findExecutable(type, invocation.path);
  const isOwn = Object.hasOwn(invocation.delegates, type) && isSameProgram(executable);
  const plugin = isOwn ? invocation.delegates[type] : undefined;
  if (plugin === undefined) return execute(verb, type, executable, invocation);
  const own = standardStreams();
  const streams = { ...own, environment: { ...own.environment, CNI_NETNS_OVERRIDE: "1" } }; // was checked for the caller
  const { result, error } = perform(plugin, { ...invocation, verb, streams });
  if (error !== undefined) throw error;
  return result;
}

/**
 * Returns the versions of the specification that a plugin supports, by calling VERSION. Some very old plugins require all
 * variables.
 *
 * @throws CniError: the plugin is not found, it does not answer in time, or its answer is not one to VERSION.
 */
export function versionsOfPlugin(type: string, path: readonly string[], delegates: Delegates): readonly string[] {
  const executable = findExecutable(type, path);
  if (Object.hasOwn(delegates, type) && isSameProgram(executable))
    return delegates[type]?.versions ?? supportedVersions;
  const delegate = { type, path: executable.path };
  const variables = {
    ...environment(),
    CNI_COMMAND: "VERSION",
    CNI_NETNS: "dummy",
    CNI_IFNAME: "dummy",
    CNI_PATH: "dummy",
  };
  const stdin = encode(`{"cniVersion":"${newestVersion}"}`);
  const program = { path: executable.path, environment: variables, stdin, longestMs: longestAnswerMs };
  const outcome = runWhenWritten(delegate, () => run(program));
  if (outcome.status === 0) return versionsIn(delegate, answerOf("VERSION", delegate, outcome));
  const error = failureOfDelegate("VERSION", delegate, outcome);
  if (error.msg === "unknown CNI_COMMAND: VERSION") return [oldestVersion]; // older than the verb
  throw error;
}

function versionsIn({ type, path }: Delegate, answer: Json): readonly string[] {
  const { cniVersion, supportedVersions: versions } = isObject(answer) ? answer : {};
  if (
    typeof cniVersion === "string" &&
    Array.isArray(versions) &&
    versions.every((version) => typeof version === "string")
  )
    return versions;
  if (cniVersion === "0.2.0" && versions === undefined) return ["0.1.0", "0.2.0"];
  throw new CniError({
    code: ErrorCode.decoding,
    msg: `plugin "${type}" answered VERSION with ${showJson(answer)}, must have "cniVersion" and "supportedVersions"`,
    remedy: `report it to the authors of ${path}`,
  });
}

function execute(verb: string, type: string, { path }: Executable, invocation: Invocation): Result | undefined {
  const { containerId, netns = "", ifName, args, stdin, cniVersion } = invocation;
  const variables = {
    ...environment(),
    CNI_COMMAND: verb,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: ifName,
    CNI_ARGS: args,
    CNI_PATH: invocation.path.join(":"),
  };
  const outcome = runWhenWritten({ type, path }, () => run({ path, environment: variables, stdin }));
  if (outcome.status !== 0) throw failureOfDelegate(verb, { type, path }, outcome);
  if (verb !== "ADD") return undefined;
  const origin: Origin = { what: `result of "${type}"`, remedy: `report it to the authors of ${path}` };
  return decodeResult(answerOf(verb, { type, path }, outcome), cniVersion, origin);
}

interface Delegate {
  type: string;
  path: string;
}

/** Longest wait for the answer to VERSION, which takes milliseconds: a file that does not end may be another program. */
export const longestAnswerMs = 5000;

/** Longest wait for an installer that is still writing the file: until it is closed, the kernel refuses to execute it (ETXTBSY). */
const longestWaitMs = 5000;

function runWhenWritten(delegate: Delegate, start: () => Outcome): Outcome {
  const started = monotonicMs();
  for (let pauseMs = 10; ; pauseMs = Math.min(2 * pauseMs, 500)) {
    try {
      return start();
    } catch (error) {
      if (!isErrno(error, "ETXTBSY")) throw notStarted(delegate, error);
      if (monotonicMs() - started > longestWaitMs) throw stillBusy(delegate, error);
      sleepMs(pauseMs);
    }
  }
}

function stillBusy({ type, path }: Delegate, cause: unknown): PluginNotStarted {
  return new PluginNotStarted({
    code: ErrorCode.tryAgainLater,
    msg: `plugin "${type}" cannot be started: something is writing ${path} (text file busy)`,
    details: `waited ${longestWaitMs / 1000} s`,
    remedy: "wait until the installation is over; installers should write a new file and rename it",
    cause,
  });
}

function notStarted({ type, path }: Delegate, cause: unknown): CniError {
  if (isErrno(cause, "ETIMEDOUT")) return silent({ type, path }, cause);
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new PluginNotStarted({
    code: ErrorCode.internal,
    msg: `plugin "${type}" cannot be started: ${reason}`,
    remedy: isErrno(cause, "EACCES")
      ? `make it executable: chmod +x ${path}`
      : `check that ${path} is a program for this machine: file ${path}`,
    cause,
  });
}

function silent({ type, path }: Delegate, cause: unknown): CniError {
  return new CniError({
    code: ErrorCode.tryAgainLater,
    msg: `plugin "${type}" has not answered VERSION within ${longestAnswerMs / 1000} s, and was killed`,
    details: `ran ${path}`,
    remedy: `see what it waits for: CNI_COMMAND=VERSION strace -f ${path}`,
    cause,
  });
}

/** Parses the answer that a plugin printed. An empty text is an error; `null` is an empty object, as in the reference library. */
function answerOf(verb: string, { type, path }: Delegate, { stdout }: Outcome): Json {
  const text = decode(stdout);
  try {
    return parseJson(text) ?? {};
  } catch (cause) {
    throw new CniError({
      code: ErrorCode.decoding,
      msg:
        text.trim() === ""
          ? `plugin "${type}" returned nothing on ${verb}, must return a result`
          : `plugin "${type}" returned something that is not JSON on ${verb}: ${showJson(text)}`,
      details: `${path} exited with status 0`,
      remedy: `check that ${path} is a CNI plugin: CNI_COMMAND=VERSION ${path}`,
      cause,
    });
  }
}

/** Returns the plugin's own error if it printed one. */
function failureOfDelegate(verb: string, { type, path }: Delegate, { status, signal, stdout }: Outcome): CniError {
  const text = decode(stdout).trim();
  const ending = signal === undefined ? `exited with status ${status}` : `was terminated by signal ${signal}`;
  const received = errorObjectIn(text);
  if (received !== undefined) return receivedError(received);
  return new CniError({
    code: ErrorCode.internal,
    msg: `plugin "${type}" ${ending} on ${verb} without an error message${text === "" ? "" : `: ${showJson(text)}`}`,
    details: `ran ${path}`,
    remedy: "see the runtime's log, which has the plugin's stderr",
  });
}

function errorObjectIn(text: string): Parameters<typeof receivedError>[0] | undefined {
  try {
    const error = JSON.parse(text) as unknown;
    if (!isObject(error)) return undefined;
    const { code = ErrorCode.unknown, msg, details } = error;
    if (typeof code !== "number" || typeof msg !== "string") return undefined;
    return { code, msg, ...(typeof details === "string" ? { details } : {}) };
  } catch {
    return undefined; // the caller reports it: the text is no error object
  }
}
