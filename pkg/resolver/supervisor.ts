/**
 * Keeps the resolver's sockets while the process that works is replaced, so that queries wait in their queues and are not lost.
 *
 * Holder and worker share one table of descriptors (clone(2), CLONE_FILES). When the worker is killed, its sockets stay open in the table; the
 * supervisor starts another worker, which finds them there: what a socket listens on, and in which namespace, the kernel says. When the
 * supervisor is killed, the worker becomes the supervisor, and starts a worker.
 *
 * Rejected: systemd's store of descriptors (FDSTORE=1), which exists only where systemd is, and has no way to open what a later attachment needs
 * while the service is being restarted.
 */
import { bootMs, sleepMs } from "../sys/clock.ts";
import { closeFile } from "../sys/file.ts";
import { waitReadable } from "../sys/poll.ts";
import { exitNow, processId, raiseFileLimit, wait } from "../sys/process.ts";
import { nextSignal, openSignals, SIGCHLD, SIGHUP, SIGINT, SIGTERM } from "../sys/signal.ts";
import { ask, call } from "../sys/syscall.ts";
import { sortLeftSockets } from "./listeners.ts";
import { type End, type WorkerOptions, work } from "./worker.ts";

const CLONE_FILES = 0x400;
const PR_SET_PDEATHSIG = 1;
const STANDARD_STREAMS = [0, 1, 2];

/** A worker that ends sooner than this was not killed by chance: the next one has to wait, so that it does not take the whole processor. */
const SHORT_LIFE_MS = 500;
const PAUSE_MS = 500;

export type ResolverOptions = Pick<
  WorkerOptions,
  "attachments" | "resolvConf" | "control" | "cleansUp" | "endsIdle" | "log"
>;

/** Serves until a signal says to stop, or there is nothing to serve. Uses a table of descriptors that has nothing else in it than the standard streams, the listening socket, and the descriptor of that socket's file. */
export function serve(options: ResolverOptions): void {
  raiseFileLimit();
  for (;;) {
    const signals = openSignals([SIGINT, SIGTERM, SIGCHLD]);
    const supervisor = processId();
    const child = call("clone", undefined, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (child !== 0) {
      if (hold(child, signals, options) === "ended") return;
      closeFile(signals);
      continue;
    }
    const { control } = options;
    const kept = typeof control === "number" ? [control] : [control.listener, control.file];
    const end = workFor(supervisor, [...STANDARD_STREAMS, ...kept, signals], options);
    if (end !== "orphaned") exitNow(0);
    options.log("the process that kept the sockets has ended: another one is started");
  }
}

/** Waits for the worker's end. @returns whether it was meant */
function hold(worker: number, signals: number, { log }: ResolverOptions): "ended" | "killed" {
  const startedMs = bootMs();
  for (;;) {
    waitReadable([signals], undefined);
    const signal = nextSignal(signals);
    if (signal === SIGINT || signal === SIGTERM) ask("kill", worker, SIGTERM);
    const end = signal === SIGCHLD ? wait(worker) : undefined;
    if (end === undefined) continue;
    if (end.status === 0) return "ended";
    log(
      `the worker has ended (${end.status === undefined ? `signal ${end.signal}` : `status ${end.status}`}): another one is started`,
    );
    if (bootMs() - startedMs < SHORT_LIFE_MS) sleepMs(PAUSE_MS);
    return "killed";
  }
}

function workFor(supervisor: number, kept: readonly number[], options: ResolverOptions): End {
  call("prctl", undefined, PR_SET_PDEATHSIG, SIGHUP, 0, 0, 0);
  const left = sortLeftSockets(kept);
  const signals = openSignals([SIGHUP, SIGINT, SIGTERM]);
  if (ask("getppid") !== supervisor) return "orphaned";
  const readSignals = (): End | undefined => {
    const signal = nextSignal(signals);
    return signal === undefined ? undefined : signal === SIGHUP ? "orphaned" : "stopped";
  };
  return work({ ...options, signals, readSignals, left });
}
