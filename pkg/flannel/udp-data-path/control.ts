/** The Unix socket by which daemons give orders. They come and go; the data path stays until nobody is left who answers for this host's lease. */
import { createServer, type Socket } from "node:net";
import { bootMs } from "../../sys/clock.ts";
import { removeFile } from "../../sys/file.ts";
import { isListenedTo } from "../../sys/unix-socket.ts";
import {
  type Counters,
  type HandedOver,
  type Hello,
  lineReader,
  type PeerSubnet,
  type Reply,
  type Request,
} from "./protocol.ts";

/** What requests are carried out with. @throws Error a subnet or address is none */
export interface DataPath {
  replace(peers: readonly PeerSubnet[], own: string): void;
  change(set: readonly PeerSubnet[], remove: readonly string[]): void;
  counters(): Counters;
  /** Lets that process have the descriptors. @throws Error there is no table yet */
  handOver(pid: number): Omit<HandedOver["handedOver"], "until">;
  /** Ends the process. */
  end(reason: string): void;
}

export interface Control {
  close(): void;
}

/** How long a process waits for its first table: its daemon may have been killed before it could send one. */
const FIRST_TABLE_MS = 60_000;
/** The clock of deadlines goes on while the machine is suspended, timers do not. */
const LONGEST_TIMER_MS = 60_000;
const ONLY_OWNER = 0o177;

/** @throws Error it is no time that a deadline can be made of */
function milliseconds(value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new Error(`${JSON.stringify(value)} is no number of milliseconds`);
}

export const firstDeadline = (): number => bootMs() + FIRST_TABLE_MS;

/**
 * Listens on the socket.
 *
 * @param deadline When to end, unless a daemon says otherwise.
 * @throws Error another process listens
 */
export async function serveControl(path: string, hello: Hello, dataPath: DataPath, deadline: number): Promise<Control> {
  if (isListenedTo(path))
    throw new Error(
      `another data path process listens on ${path}. To fix: stop the flanneld that has started it, or give this one another --subnet-file`,
    );
  const connections = new Set<Socket>();
  /** Those of daemons that answer for the lease: they have sent a table. */
  const owners = new Set<Socket>();
  let timer: NodeJS.Timeout | undefined;
  let changes = 0;

  const server = createServer((socket) => {
    const read = lineReader();
    connections.add(socket);
    socket.setEncoding("utf8");
    socket.write(`${JSON.stringify(hello)}\n`);
    socket.on("data", (chunk: string) => {
      try {
        for (const request of read(chunk)) socket.write(`${JSON.stringify(answer(socket, request as Request))}\n`);
      } catch (error) {
        socket.end(`${JSON.stringify({ error: `not a line of JSON: ${error}` } satisfies Reply)}\n`);
      }
    });
    socket.on("error", () => {}); // followed by "close"
    socket.on("close", () => {
      connections.delete(socket);
      owners.delete(socket);
      endWhenDue();
    });
  });

  function answer(socket: Socket, request: Request): Reply {
    try {
      if ("peers" in request) {
        const until = milliseconds(request.until);
        dataPath.replace(request.peers, request.own);
        changes++;
        owners.add(socket);
        deadline = until;
      } else if ("change" in request) {
        dataPath.change(request.change.set ?? [], request.change.remove ?? []);
        changes++;
      } else if ("until" in request) deadline = milliseconds(request.until);
      else if ("handOver" in request)
        return { handedOver: { ...dataPath.handOver(request.handOver.to), until: deadline } };
      else if ("counters" in request) return { counters: dataPath.counters() };
      else if ("detach" in request) {
        deadline = bootMs() + milliseconds(request.detach.forMs);
        owners.delete(socket);
      } else if ("stop" in request) setImmediate(() => dataPath.end("a daemon has said so"));
      else return { error: `unknown request ${JSON.stringify(request)}` };
      endWhenDue();
      return { done: true, changes };
    } catch (error) {
      return { error: (error as Error).message };
    }
  }

  function endWhenDue(): void {
    clearTimeout(timer);
    if (owners.size > 0) return;
    const remaining = deadline - bootMs();
    if (remaining <= 0) dataPath.end("no daemon is connected, and the time for which it was to go on is over");
    else timer = setTimeout(endWhenDue, Math.min(remaining, LONGEST_TIMER_MS)).unref(); // nothing to wait for once all is closed
  }

  const mask = process.umask(ONLY_OWNER);
  try {
    removeFile(path); // of a process that was killed
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
  } catch (error) {
    throw new Error(
      `cannot listen on ${path}: ${(error as Error).message}. To fix: make its directory writable, or give flanneld another --subnet-file`,
      { cause: error },
    );
  } finally {
    process.umask(mask);
  }
  endWhenDue();
  return {
    close() {
      clearTimeout(timer);
      server.close();
      for (const socket of connections) socket.unref(); // closed when the process ends: device and port are free then
    },
  };
}
