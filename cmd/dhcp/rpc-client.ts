/** One question to the daemon, and its answer. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { GobError, type GobStruct } from "../../pkg/gorpc/gob.ts";
import { RpcClient, RpcError } from "../../pkg/gorpc/rpc.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { closeFile } from "../../pkg/sys/file.ts";
import { receive, waitReadable } from "../../pkg/sys/socket.ts";
import { connectUnix, sendStream } from "../../pkg/sys/unix-socket.ts";
import { DEFAULT_SOCKET } from "./netconf.ts";
import { type CallArgs, callArgs, gobOfCall } from "./protocol.ts";

/** A daemon that is alive greets at once. How long it then takes is for the runtime to say: a server may be slow. */
const GREETING_MS = 10_000;
const BUFFER_BYTES = 65536;

/** No daemon listens, or what listens does not answer. */
export class DaemonUnreachable extends CniError {
  /** Whether it may have done what it was asked for. */
  readonly wasConnected: boolean;

  constructor(path: string, cause: SystemError | GobError) {
    super({
      code: ErrorCode.tryAgainLater,
      msg: `error dialing DHCP daemon: ${path}: ${cause instanceof SystemError ? cause.code : cause.message}`,
      details: "leases are had and kept by a daemon, which has to run on this node",
      remedy: `start it: \`dhcp daemon\` in the folder of the plugins${path === DEFAULT_SOCKET ? "" : `, with -socketpath ${path}`}, or the unit cni-dhcp.socket`,
      cause,
    });
    this.wasConnected = !(cause instanceof SystemError && cause.call === "connect");
  }
}

/** The daemon does not know the method: it is the reference's. */
class UnknownMethod extends Error {}

/** @throws DaemonUnreachable. CniError 11: no server answered; 999: what else the daemon says */
export function callDaemon(path: string, method: string, call: CallArgs): GobStruct {
  const fd = connect(path);
  try {
    return converse(fd, method, call);
  } catch (error) {
    throw error instanceof RpcError ? refusal(method, error) : unreachable(path, error);
  } finally {
    closeFile(fd);
  }
}

/** The same for a method that the reference's daemon does not have: `otherwise` is done there. */
export function callTwillDaemon(path: string, method: string, call: CallArgs, otherwise: () => GobStruct): GobStruct {
  try {
    return callDaemon(path, method, call);
  } catch (error) {
    if (error instanceof UnknownMethod) return otherwise();
    throw error;
  }
}

function connect(path: string): number {
  try {
    return connectUnix(path);
  } catch (error) {
    throw unreachable(path, error);
  }
}

function converse(fd: number, method: string, call: CallArgs): GobStruct {
  const client = new RpcClient();
  sendStream(fd, client.greeting, "wait");
  while (!client.isWelcome(next(fd, GREETING_MS)));
  sendStream(fd, client.request(method, callArgs, gobOfCall(call)), "wait");
  for (;;) {
    const answer = client.receive(next(fd, undefined));
    if (answer !== undefined) return answer;
  }
}

/** What comes next, after waiting for it. */
function next(fd: number, timeoutMs: number | undefined): Uint8Array {
  if (waitReadable([fd], timeoutMs).length === 0) throw new GobError(`nothing came for ${timeoutMs} ms`);
  const bytes = receive(fd, new Uint8Array(BUFFER_BYTES));
  if (bytes.length === 0) throw new GobError("it hung up");
  return bytes;
}

const unreachable = (path: string, cause: unknown): unknown =>
  cause instanceof SystemError || cause instanceof GobError ? new DaemonUnreachable(path, cause) : cause;

/** The protocol has one line for what is wrong, where, and what to do about it. */
function refusal(method: string, { message }: RpcError): Error {
  if (/^rpc: can't find (method|service) /.test(message)) return new UnknownMethod(message);
  const [msg = "", ...details] = message.split("; ");
  return new CniError({
    code: msg === "no more tries" ? ErrorCode.tryAgainLater : ErrorCode.internal,
    msg: `error calling ${method}: ${msg}`,
    details: details.join("; "),
    remedy: details.length > 0 ? "" : "see what the daemon's log says",
  });
}
