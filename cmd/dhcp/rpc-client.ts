/** Sends one request to the daemon, and receives its answer. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import { GobError, type GobStruct } from "../../pkg/gorpc/gob.ts";
import { RpcClient, RpcError } from "../../pkg/gorpc/rpc.ts";
import { SystemError } from "../../pkg/sys/errno.ts";
import { closeFile } from "../../pkg/sys/file.ts";
import { waitReadable } from "../../pkg/sys/poll.ts";
import { receive } from "../../pkg/sys/socket.ts";
import { connectUnix, sendStream } from "../../pkg/sys/unix-socket.ts";
import { DEFAULT_SOCKET } from "./netconf.ts";
import { type CallArgs, callArgs, gobOfCall } from "./protocol.ts";

/** The timeout of the daemon's greeting, which it sends at once. The answer has no timeout but the runtime's: a server may be slow. */
const GREETING_MS = 10_000;
const BUFFER_BYTES = 65536;

/** No daemon listens, or it does not answer. */
export class DaemonUnreachable extends CniError {
  /** Whether the daemon may have performed the request. */
  readonly wasConnected: boolean;

  constructor(path: string, cause: SystemError | GobError) {
    super({
      code: ErrorCode.tryAgainLater,
      msg: `error dialing DHCP daemon: ${path}: ${cause instanceof SystemError ? cause.code : cause.message}`,
      details: "leases are acquired and renewed by a daemon, which must run on this node",
      remedy: `start it: \`dhcp daemon\` in the folder of the plugins${path === DEFAULT_SOCKET ? "" : `, with -socketpath ${path}`}, or the unit cni-dhcp.socket`,
      cause,
    });
    this.wasConnected = !(cause instanceof SystemError && cause.call === "connect");
  }
}

/** The daemon does not have the method: it is the reference's. */
class UnknownMethod extends Error {}

/** @throws DaemonUnreachable. CniError 11: no server answered; 999: the daemon's other errors */
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

/** Calls a method that the reference's daemon does not have; with that daemon, `otherwise` is called instead. */
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

/** Waits for input, and returns it. @throws GobError a timeout, or the end of the connection */
function next(fd: number, timeoutMs: number | undefined): Uint8Array {
  if (waitReadable([fd], timeoutMs).length === 0) throw new GobError(`no answer for ${timeoutMs} ms`);
  const bytes = receive(fd, new Uint8Array(BUFFER_BYTES));
  if (bytes.length === 0) throw new GobError("the connection was closed");
  return bytes;
}

const unreachable = (path: string, cause: unknown): unknown =>
  cause instanceof SystemError || cause instanceof GobError ? new DaemonUnreachable(path, cause) : cause;

/** Makes the error of a refused call. The protocol has one line for message, details and remedy. */
function refusal(method: string, { message }: RpcError): Error {
  if (/^rpc: can't find (method|service) /.test(message)) return new UnknownMethod(message);
  const [msg = "", ...details] = message.split("; ");
  return new CniError({
    code: msg === "no more tries" ? ErrorCode.tryAgainLater : ErrorCode.internal,
    msg: `error calling ${method}: ${msg}`,
    details: details.join("; "),
    remedy: details.length > 0 ? "" : "see the daemon's log",
  });
}
