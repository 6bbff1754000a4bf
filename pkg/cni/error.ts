/** Errors in the form of the CNI specification: a code, one line, details, and what to do about it. */

import { type JsonObject, printJson } from "../config/json.ts";
import { errnoName, isErrno, SystemError } from "../sys/errno.ts";
import { NotANamespace } from "../sys/namespace.ts";
import { stackTrace } from "../sys/stack-trace.ts";

/**
 * CNI spec, "Error": codes 0-99 are reserved for the specification, 100 and up are free for plugins; 999 is the usual code for an
 * internal error.
 */
export const ErrorCode = {
  unknown: 0,
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  /** STATUS: ADD will fail. */
  notAvailable: 50,
  /** STATUS: ADD will fail and running containers may have lost connectivity. */
  limitedConnectivity: 51,
  internal: 999,
} as const;

export interface CniErrorOptions {
  code: number;
  /** One line, object first, quoted names, the value found and the value wanted; no full stop. */
  msg: string;
  /** The action that failed, for which attachment, and the kernel's own message. */
  details?: string | undefined;
  /** The action for the reader to take now. If there is none: whom to tell and what to attach. */
  remedy: string;
  cause?: unknown;
}

/** A failure to report to the runtime. `message` is the textual form of the specification: "msg; details". */
export class CniError extends Error {
  readonly code: number;
  readonly msg: string;
  /** The details as they are sent, the remedy included. */
  readonly details: string;

  constructor({ code, msg, details, remedy, cause }: CniErrorOptions) {
    const full = [details, remedy === "" ? undefined : `To fix: ${remedy}`].filter(Boolean).join(". ");
    const line = remedy === "" ? msg : oneLine(msg); // another program's message is passed on as it is
    super(full === "" ? line : `${line}; ${full}`, cause === undefined ? {} : { cause });
    this.name = "CniError";
    this.code = code;
    this.msg = line;
    this.details = full;
  }
}

/** Parts details, as a CniError has them, into what is said about the reason, and what to do; "" for what they do not have. */
export function partsOfDetails(details: string): { reason: string; remedy: string } {
  const [, reason = "", remedy] = /^(?:([\s\S]*)\. )?To fix: ([\s\S]*)$/.exec(details) ?? [];
  return remedy === undefined ? { reason: details, remedy: "" } : { reason, remedy };
}

/** Escapes control characters as JSON does: values of configurations and names of files may have them. */
const oneLine = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are meant
  text.replace(/[\x00-\x1f\x7f]/g, (character) => JSON.stringify(character).slice(1, -1));

/** Makes the error for a configuration that its schema allows and that is still invalid. */
export const invalidConf = (msg: string, remedy: string): CniError =>
  new CniError({ code: ErrorCode.invalidConfig, msg, remedy });

/** Makes an error from another program's error object, to be passed on unchanged: the details are assumed to contain the remedy. */
export function receivedError({ code, msg, details }: { code: number; msg: string; details?: string }): CniError {
  return new CniError({ code, msg, details, remedy: "" });
}

/** Makes an error of one that was thrown, with what failed after it in its details. */
export function withSecondFailure(first: unknown, second: string, remedy: string): CniError {
  const { code, msg, details } = failureOf(first);
  return new CniError({ code, msg, details: [details, second].filter(Boolean).join("; "), remedy, cause: first });
}

/** Formats a failure for stdout: the specification requires the version in it, the reference library does not print it. */
export function printError(error: CniError, cniVersion: string): string {
  return printJson({ cniVersion, ...errorObject(error) }, "    ");
}

export function errorObject({ code, msg, details }: CniError): JsonObject {
  return { code, msg, ...(details === "" ? {} : { details }) };
}

/**
 * Converts anything thrown into the error to report to the runtime. A CniError anywhere among the causes is reported as it is. A
 * kernel error without a CniError is reported with the system call that failed. Everything else is a bug of ours and is reported
 * with its stack trace.
 */
export function failureOf(thrown: unknown): CniError {
  for (let error = thrown; error instanceof Error; error = error.cause) if (error instanceof CniError) return error;
  if (thrown instanceof NotANamespace) return noNamespace(thrown);
  if (!(thrown instanceof Error))
    return new CniError({ code: ErrorCode.internal, msg: String(thrown), remedy: report });
  if (thrown instanceof SystemError) return refusedCall(thrown);
  const errno = "errno" in thrown ? errnoName(Number(thrown.errno)) : undefined; // a NetlinkError has one
  return new CniError({
    code: isErrno(thrown, ...GONE) ? ErrorCode.tryAgainLater : ErrorCode.internal,
    msg: thrown.message || thrown.name,
    details: errno === undefined ? `${thrown.name}\n${stackTrace(thrown)}`.trimEnd() : undefined,
    remedy: isErrno(thrown, ...GONE) ? gone : (remedies[errno ?? ""] ?? report),
    cause: thrown,
  });
}

function refusedCall(error: SystemError): CniError {
  const hasNul = error.object?.includes("\0") === true;
  const isClosed = error.object === "stdout" && error.code === "EBADF";
  return new CniError({
    code: ErrorCode.io,
    msg: error.message,
    remedy: (isClosed ? closed : hasNul ? nul : (pathRemedies[error.code] ?? remedies[error.code])) ?? report,
    cause: error,
  });
}

function noNamespace({ path, reason }: NotANamespace): CniError {
  const why = reason === "missing" ? "it does not exist" : "it is not a network namespace";
  return new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `CNI_NETNS: failed to open netns "${path}": ${why}`,
    remedy: reason === "missing" ? remedyForMissing(path) : NOT_A_NAMESPACE,
  });
}

const remedyForMissing = (path: string): string =>
  path.includes("/")
    ? "the container has ended, or the path is wrong (ip netns list); by hand, create the namespace first: ip netns add example, then CNI_NETNS=/run/netns/example"
    : `it must be a path: CNI_NETNS=/run/netns/${path}, after ip netns add ${path} where it does not exist yet`;

const NOT_A_NAMESPACE =
  "pass the path of a namespace, as CNI_NETNS=/run/netns/example or /proc/PID/ns/net. If it is one for the runtime, its mount does not reach this mount namespace: mount /run/netns there with shared propagation (in Kubernetes, mountPropagation: HostToContainer)";

const report =
  "this should not happen: please report it to twill's issue tracker, with this text and the network's configuration";

const asRoot = "run it as root with CAP_NET_ADMIN and CAP_SYS_ADMIN, and check that no security module forbids it";
const space = "free space on that file system, or choose a directory on another one";
const fileSize =
  "the file may not be that large: raise the runtime's limit for the size of files (LimitFSIZE= of its service, ulimit -f)";
const descriptors = "raise the limit of open files, or find out which process has so many open";
const kernel = "this kernel lacks it: load the module that has it, or enable it in the kernel";
/** Errors of netlink for an interface that is not there any more, of which another process has not told us. */
const GONE = ["ENODEV", "ENXIO", "ESRCH"] as const;
const gone = "an interface was deleted during the call, by a DEL at the same time or another program: try again";
const nul = 'remove the NUL character ("\\u0000") from the configuration: no path can have one';
const closed = "start it with standard output open";
const notAFile = "a socket, or a device without its driver, is where a file is needed: remove it, or set another path";
const notADirectory = "a file is where a directory is needed: remove it, or correct the path in the configuration";

/** Remedies of system calls that are about a path. */
const pathRemedies: Readonly<Record<string, string>> = {
  ENOENT: "create it, or correct the path in the configuration",
  ENOTDIR: notADirectory,
  EEXIST: notADirectory,
  EISDIR: "a directory is where a file is needed: remove it, or correct the path in the configuration",
  ENAMETOOLONG: "shorten the path in the configuration: a name has at most 255 bytes, a path 4095",
  ELOOP: "symbolic links of the path lead to each other: correct them, or the path in the configuration",
  ENXIO: notAFile,
  ENODEV: notAFile,
};

/** Remedies by the name of the errno. */
const remedies: Readonly<Record<string, string>> = {
  EPERM: asRoot,
  EACCES: asRoot,
  EROFS: "that file system is read-only: mount it writable, or choose a directory on another one",
  ENOSPC: space,
  EDQUOT: space,
  EFBIG: fileSize,
  EMFILE: descriptors,
  ENFILE: descriptors,
  ENOMEM: "the machine or the cgroup of the runtime is out of memory: give it more",
  EOPNOTSUPP: kernel,
  EPROTONOSUPPORT: kernel,
  EAFNOSUPPORT: kernel,
  EIO: "the disk has errors: see the kernel's log",
};

export const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));
