/**
 * The connection to the data path process, which carries the packets (pkg/flannel/udp-data-path), and how it is started, taken over and
 * ended. The process is not a part of this one, so that traffic goes on while the daemon restarts, and neither waits for the other.
 */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { withPriorityOfStart } from "../../../cluster/event-loop/priority.ts";
import type { Log } from "../../../cluster/log/log.ts";
import {
  argumentsOf,
  type Counters,
  type Hello,
  lineReader,
  PROTOCOL,
  type Reply,
  type Request,
  type Settings,
} from "../../udp-data-path/protocol.ts";

/** The process' program, beside the daemon's bundle. */
const program = fileURLToPath(new URL("./flanneld-udp.mjs", import.meta.url));

/** Returns protocol and build of the program; of another build the process is replaced. @throws Error it is missing */
export function programVersion(): string {
  try {
    const build = createHash("sha256").update(readFileSync(program)).digest("hex").slice(0, 12);
    return `${PROTOCOL}-${build}`;
  } catch (error) {
    throw new Error(
      `cannot read ${program}, the program that carries the packets of the backend udp: ${(error as Error).message}; copy dist as a whole`,
      { cause: error },
    );
  }
}

export type ProcessInfo = Hello["hello"];

export interface DataPath {
  readonly info: ProcessInfo;
  isOpen(): boolean;
  /** Resolves when the process has closed the connection, as when it ends, or has not answered in time. */
  readonly lost: Promise<void>;
  /** Resolves when the process has done it. @returns how many requests have changed the table @throws Error it refuses, or does not answer */
  tell(request: Order): Promise<number>;
  counters(): Promise<Counters>;
  /** Closes the connection; the process goes on. */
  release(): void;
  /** Ends the process. */
  end(): Promise<void>;
}

type Order = Exclude<Request, { counters: true } | { handOver: unknown }>;

/** The process answers within milliseconds: another thread of it carries the packets. */
const ANSWER_MS = 10_000;

/**
 * Connects to a running process; kills one that does not answer.
 *
 * @returns undefined: there is none, or none any more.
 * @throws Error what listens does not answer, or not as one
 */
export function connectDataPath(socketPath: string, log: Log): Promise<DataPath | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath);
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    const late = setTimeout(() => {
      const pids = processesFor(socketPath);
      if (pids.length === 0) return fail(silent(socketPath));
      log.warn(`ending the data path process, which does not answer within ${ANSWER_MS / 1000} s`, {
        pid: pids.join(" "),
      });
      for (const pid of pids) killProcess(pid); // what is open in it is closed then, this connection as well
    }, ANSWER_MS);
    const connection = new DataPathConnection(socket, {
      ready() {
        clearTimeout(late);
        resolve(connection);
      },
      failed(error) {
        clearTimeout(late);
        if (isNobody(error)) resolve(undefined);
        else fail(error);
      },
    });
  });
}

const isNobody = ({ code }: NodeJS.ErrnoException): boolean =>
  code === "ENOENT" || code === "ECONNREFUSED" || code === "ECONNRESET"; // the last: it ends just now

/** Returns the processes of this network namespace that were started with that socket. */
const processesFor = (socketPath: string): number[] =>
  readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words.includes(`--socket=${socketPath}`) && networkOf(pid) === networkOf("self");
      } catch {
        return false; // no process, or one that has just ended
      }
    });

const networkOf = (process: number | "self"): string => readlinkSync(`/proc/${process}/ns/net`);

const silent = (socketPath: string) =>
  new Error(
    `the data path process that listens on ${socketPath} does not answer within ${ANSWER_MS / 1000} s; end it (fuser -k ${socketPath}): flanneld starts another one`,
  );

interface Greeting {
  ready(): void;
  failed(error: Error): void;
}

interface Pending {
  resolve(reply: Exclude<Reply, { error: string }>): void;
  reject(error: Error): void;
}

class DataPathConnection implements DataPath {
  info!: ProcessInfo; // the first line, before anybody gets this object
  readonly lost: Promise<void>;
  readonly #closed: Promise<void>;
  readonly #socket: Socket;
  readonly #pending: Pending[] = [];
  #isOpen = true;
  #lose = () => {};

  constructor(socket: Socket, greeting: Greeting) {
    this.#socket = socket;
    const lines = lineReader();
    let isGreeted = false;
    const receive = (value: unknown) => {
      if (isGreeted) return this.#answer(value as Reply);
      this.info = (value as Hello).hello;
      isGreeted = true;
      greeting.ready();
    };
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      try {
        lines(chunk).forEach(receive);
      } catch (error) {
        socket.destroy(error as Error); // not JSON
      }
    });
    socket.on("error", (error) => greeting.failed(error));
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
    this.#closed = new Promise((resolve) => {
      socket.on("close", () => {
        greeting.failed(Object.assign(new Error("the connection was closed"), { code: "ECONNRESET" }));
        this.#close(gone);
        resolve();
      });
    });
  }

  isOpen(): boolean {
    return this.#isOpen;
  }

  async tell(request: Order): Promise<number> {
    const reply = await this.#ask(request);
    if ("done" in reply) return reply.changes;
    throw new Error("the data path process has not said whether it is done");
  }

  async counters(): Promise<Counters> {
    const reply = await this.#ask({ counters: true });
    if ("counters" in reply) return reply.counters;
    throw new Error("the data path process returned no counters");
  }

  release(): void {
    this.#close(gone);
  }

  async end(): Promise<void> {
    if (!this.#isOpen) return;
    const kill = setTimeout(() => killProcess(this.info.pid), ANSWER_MS); // as long as the connection is open the PID is its own
    this.#giveUp(gone); // else a request that is late would close the connection before the process is killed
    this.#send({ stop: true }, { resolve() {}, reject() {} }); // it may end before it answers
    await this.#closed;
    clearTimeout(kill);
  }

  #ask(request: Request): Promise<Exclude<Reply, { error: string }>> {
    if (!this.#isOpen) return Promise.reject(gone);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#close(
          new Error(
            `the data path process (pid ${this.info.pid}) has not answered for ${ANSWER_MS / 1000} s; flanneld connects to it again`,
          ),
        );
      }, ANSWER_MS);
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(late);
          settle(value);
        };
      this.#send(request, { resolve: settled(resolve), reject: settled(reject) });
    });
  }

  #send(request: Request, pending: Pending): void {
    this.#pending.push(pending);
    this.#socket.write(`${JSON.stringify(request)}\n`);
  }

  #giveUp(error: Error): void {
    this.#isOpen = false;
    this.#lose();
    for (const { reject } of this.#pending.splice(0)) reject(error);
  }

  #close(error: Error): void {
    this.#giveUp(error);
    this.#socket.destroy();
  }

  #answer(reply: Reply): void {
    const pending = this.#pending.shift();
    if ("error" in reply) pending?.reject(new Error(`the data path process: ${reply.error}`));
    else pending?.resolve(reply);
  }
}

const gone = new Error("the data path process has ended; flanneld starts it again");

function killProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Node's start takes a tenth of a second; on a host that is busy, several. */
const START_MS = 60_000;

/** Starts the process and connects to it. @throws Error what it lacks on this host, with the remedy; nothing of it is left */
export async function startDataPath(settings: Settings, log: Log): Promise<DataPath> {
  await untilStarted(settings, log);
  const path = await connectDataPath(settings.socket, log);
  if (path !== undefined) return path;
  throw new Error("the data path process ended at once; flanneld tries again");
}

/**
 * The process is in a session of its own, so that signals to the daemon's process group, as from a terminal, do not end it. It gets
 * nothing of the daemon's environment, where etcd's password may be.
 */
function untilStarted(settings: Settings, log: Log): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = withPriorityOfStart(() =>
      spawn(process.execPath, [program, ...argumentsOf(settings)], {
        detached: true,
        cwd: "/",
        env: { PATH: process.env["PATH"] },
        stdio: ["ignore", "pipe", "pipe"],
      }),
    );
    const { pid } = child;
    let isStarted = false;
    let complaints = "";
    const fail = (error: Error) => {
      clearTimeout(late);
      child.kill("SIGKILL");
      reject(error);
    };
    const late = setTimeout(
      () => fail(new Error(`the data path process has not started within ${START_MS / 1000} s; flanneld tries again`)),
      START_MS,
    );
    child.on("error", (error) =>
      fail(
        new Error(
          `cannot start the data path process: ${error.message}. To fix: raise flanneld's limits of open files and processes (systemd: LimitNOFILE=, TasksMax=)`,
          { cause: error },
        ),
      ),
    );
    if (pid === undefined) return; // without file descriptors to spare there are not even pipes
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      printed += chunk;
      if (isStarted || !printed.includes("\n")) return;
      const refusal = refusalIn(printed);
      if (refusal !== undefined) return fail(refusal);
      isStarted = true;
      clearTimeout(late);
      resolve();
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      complaints = `${complaints}${chunk}`.slice(-LONGEST_COMPLAINT);
    });
    child.on("close", (status, signal) => {
      const how = signal ?? `exit status ${status}`;
      if (!isStarted) fail(new Error(`the data path process ended (${how}): ${complaints.trim()}`));
      else if (status !== 0) log.warn("the data path process ended", { pid, how, stderr: complaints.trim() });
    });
  });
}
const LONGEST_COMPLAINT = 2000;

/** Returns the error in the line that a process prints when it starts; undefined: it has started. */
function refusalIn(line: string): Error | undefined {
  try {
    const value = JSON.parse(line) as Hello | { error: string };
    return "error" in value ? new Error(value.error) : undefined;
  } catch (error) {
    return new Error(`the data path process prints ${JSON.stringify(line)}, expected JSON`, { cause: error });
  }
}
