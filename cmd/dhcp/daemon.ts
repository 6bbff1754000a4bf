/**
 * dhcp daemon: acquires and renews leases for containers. It has one thread, which waits for all descriptors together.
 *
 * Sockets belong to the namespace in which they were opened, so no thread has to stay in it. They are open only during an exchange with
 * servers: five hundred bound leases have none.
 */
import { CniError, ErrorCode, failureOf } from "../../pkg/cni/error.ts";
import type { Tool, ToolContext } from "../../pkg/cni/tool.ts";
import { startBackgroundClose } from "../../pkg/sys/background-close.ts";
import { bootMs, sleepMs } from "../../pkg/sys/clock.ts";
import { directoryOf, makeDirectories, removeFile, writeFile } from "../../pkg/sys/file.ts";
import { passedSockets } from "../../pkg/sys/passed-sockets.ts";
import { openPoller } from "../../pkg/sys/poller.ts";
import { collectCycles, processId, raiseFileLimit, writeStderr } from "../../pkg/sys/process.ts";
import { openSignals, SIGINT, SIGTERM } from "../../pkg/sys/signal.ts";
import { isListenedTo, listenUnix, neverWaiting } from "../../pkg/sys/unix-socket.ts";
import { type Flags, readFlags, usage, WrongUsage } from "./flags.ts";
import { openLeaseFiles } from "./lease-files.ts";
import { LeaseTable } from "./lease-table.ts";
import { Server } from "./server.ts";

export const dhcpDaemon: Tool = {
  name: "dhcp daemon",
  about: "acquires and renews DHCP leases for the plugin dhcp",
  run,
};

function run(args: readonly string[], _context: ToolContext): number {
  try {
    serve(readFlags(args));
    return 0;
  } catch (error) {
    if (error instanceof WrongUsage) {
      writeStderr(error.message === "" ? usage : `dhcp daemon: ${error.message}\n${usage}`);
      return error.message === "" ? 0 : 2;
    }
    const { msg, details } = failureOf(error);
    writeStderr(`dhcp daemon: ${msg}\n${details === "" ? "" : `  ${details}\n`}`);
    return 1;
  }
}

function serve(flags: Flags): void {
  const signals = openSignals([SIGINT, SIGTERM]);
  const socketPath = `${flags.hostPrefix}${flags.socketPath}`;
  raiseFileLimit();
  if (flags.pidFile !== "") writeFile(flags.pidFile, String(processId()), { mode: 0o644 });
  const { listener, isOurs } = openListener(socketPath);
  const poller = openPoller();
  const journal = openLeaseFiles(`${socketPath.replace(/\.sock$/, "")}.leases`);
  const leaseTable = new LeaseTable({ flags, poller, journal, close: startBackgroundClose(), log });
  const server = new Server({ listener, leaseTable, poller, hostPrefix: flags.hostPrefix, log });
  poller.watch(signals);
  leaseTable.resumeAll();
  log(`listening on ${socketPath}, with ${leaseTable.count} leases`);

  for (let stopped = false, round = 1; !stopped; round++) {
    if (round % ROUNDS_BETWEEN_COLLECTIONS === 0) collectCycles();
    const ready = poller.wait(Math.max(0, Math.min(leaseTable.wakeAtMs - bootMs(), LONGEST_WAIT_MS)));
    for (const fd of ready) {
      if (fd === signals) stopped = true;
      else if (!server.read(fd)) leaseTable.read(fd);
    }
    leaseTable.tick();
  }

  log("stopping; leases are kept for the next start");
  if (isOurs) removeFile(socketPath);
  if (flags.pidFile !== "") removeFile(flags.pidFile);
}

/** The kernel's timeout does not count suspension; after one, the daemon is late by at most this time. */
const LONGEST_WAIT_MS = 60_000;

/** One collection takes a few milliseconds. */
const ROUNDS_BETWEEN_COLLECTIONS = 4000;

const log = (text: string): void => writeStderr(`dhcp daemon: ${text}\n`);

/** Returns the socket that systemd passed, or opens one. */
function openListener(path: string): { listener: number; isOurs: boolean } {
  const passed = socketOfSystemd();
  if (passed !== undefined) return { listener: passed, isOurs: false };
  makeDirectories(directoryOf(path), 0o700);
  if (staysListenedTo(path)) {
    throw new CniError({
      code: ErrorCode.internal,
      msg: `Error getting listener: another daemon listens on ${path}`,
      remedy: "stop that daemon, or start this one with another -socketpath",
    });
  }
  removeFile(path); // left by a daemon that was killed
  return { listener: listenUnix(path), isOurs: true };
}

/** Reports whether a process still listens after a short wait: the kernel may need a moment to close the sockets of a killed daemon. */
function staysListenedTo(path: string): boolean {
  for (const untilMs = bootMs() + LETTING_GO_MS; isListenedTo(path); sleepMs(10)) if (bootMs() > untilMs) return true;
  return false;
}
const LETTING_GO_MS = 500;

/** Returns the socket that systemd passed. */
function socketOfSystemd(): number | undefined {
  const passed = passedSockets();
  if (passed.length <= 1) return passed[0] === undefined ? undefined : neverWaiting(passed[0]);
  throw new CniError({
    code: ErrorCode.internal,
    msg: `Error getting listener: Too many (${passed.length}) FDs passed through socket activation`,
    remedy: "leave only one ListenStream= in the socket unit",
  });
}
