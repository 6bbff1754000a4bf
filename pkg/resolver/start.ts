/** Starts the resolver when something needs it, and has it read the records. */
import { CniError, ErrorCode, failureOf } from "../cni/error.ts";
import { recordRoot } from "../network/attachment-record.ts";
import { defaultCacheRoot } from "../runtime/result-cache.ts";
import { isErrno } from "../sys/errno.ts";
import { closeFile, listDirectory, Open, openFile } from "../sys/file.ts";
import { passedSockets } from "../sys/passed-sockets.ts";
import { exitNow, fork, writeStderr } from "../sys/process.ts";
import { ask, call } from "../sys/syscall.ts";
import { isListenedTo, neverWaiting } from "../sys/unix-socket.ts";
import { requestSync, type SyncAnswer } from "./control.ts";
import { type ControlSocket, removeControlSocket, withControlSocket } from "./control-socket.ts";
import { dnsnameRoot } from "./dnsname-record.ts";
import { type AttachmentPaths, isAnyServed } from "./served.ts";
import { serve } from "./supervisor.ts";

/** Where the resolver is reached, and what it reads. */
export interface ResolverPaths {
  socket: string;
  attachments: AttachmentPaths;
  resolvConf: string;
}

export const resolverPaths: ResolverPaths = {
  socket: "/run/twill/resolver.sock",
  attachments: { records: recordRoot, cache: defaultCacheRoot, dnsname: dnsnameRoot },
  resolvConf: "/etc/resolv.conf",
};

const PR_SET_NAME = 15;
/** prctl(2): up to 15 characters. */
const PROCESS_NAME = "twill-resolver";

/** Has the resolver read the records; starts it unless it runs or systemd listens in its at. */
export function syncResolver(paths: ResolverPaths): SyncAnswer {
  return requestIfListening(paths.socket) ?? startAndSync(paths);
}

/** Starts the resolver where a container is attached that asks it, and it does not run. @returns what it serves then */
export function startResolverIfNeeded(paths: ResolverPaths): SyncAnswer | undefined {
  return isListenedTo(paths.socket) || !isAnyServed(paths.attachments) ? undefined : syncResolver(paths);
}

/** Has the resolver read the records if it runs. */
export function requestIfListening(socket: string): SyncAnswer | undefined {
  try {
    return requestSync(socket);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ECONNREFUSED", "ECONNRESET", "EPROTO")) return undefined; // it ends, or has never begun
    throw error;
  }
}

/** Of several that find no resolver at once, one starts it. */
function startAndSync(paths: ResolverPaths): SyncAnswer {
  return withControlSocket(paths.socket, (socket) => {
    if (socket === undefined) return requestSync(paths.socket);
    if (fork() === 0) runDetached(paths, socket);
    closeFile(socket.listener);
    closeFile(socket.file);
    return requestSync(paths.socket); // waits in the listener's queue until the resolver is there
  });
}

/** Serves in this process until it is told to end: on the socket that systemd passed, else on its own. @throws CniError another resolver runs */
export function serveInForeground(paths: ResolverPaths): void {
  const [passed] = passedSockets();
  const own = passed === undefined ? openControl(paths.socket) : undefined;
  serve({
    attachments: paths.attachments,
    resolvConf: paths.resolvConf,
    control: own ?? neverWaiting(passed as number),
    cleansUp: paths.attachments.records === recordRoot,
    endsIdle: passed !== undefined,
    log: logLine,
  });
  if (own !== undefined) removeControlSocket(own);
}

function openControl(socket: string): ControlSocket {
  const own = withControlSocket(socket, (opened) => opened);
  if (own !== undefined) return own;
  throw new CniError({
    code: ErrorCode.internal,
    msg: `another resolver listens on ${socket}`,
    remedy: "stop that one first; `twill resolver --sync` has it read the records again",
  });
}

/** Runs the resolver in a child, which has nothing in common with its parent: no terminal, no streams, no descriptors. */
function runDetached({ socket, attachments, resolvConf }: ResolverPaths, own: ControlSocket): never {
  call("setsid", undefined);
  call("chdir", "/", "/"); // keeps no file system from being unmounted
  const nothing = openFile("/dev/null", Open.readWrite);
  const log = openFile(
    `${socket.replace(/\.sock$/, "")}.log`,
    Open.writeOnly | Open.create | Open.truncate | Open.append,
    0o600,
  );
  for (const [from, to] of [
    [nothing, 0],
    [nothing, 1],
    [log, 2],
  ] as const)
    call("dup3", undefined, from, to, 0);
  for (const name of listDirectory("/proc/self/fd"))
    if (Number(name) > 2 && ![own.listener, own.file].includes(Number(name))) closeFile(Number(name));
  ask("prctl", PR_SET_NAME, PROCESS_NAME, 0, 0, 0);
  try {
    serve({
      attachments,
      resolvConf,
      control: own,
      cleansUp: attachments.records === recordRoot,
      endsIdle: true,
      log: logLine,
    });
    removeControlSocket(own);
    exitNow(0);
  } catch (error) {
    logLine(failureOf(error).message);
    exitNow(1);
  }
}

export const logLine = (text: string): void => writeStderr(`twill resolver: ${text}\n`);
