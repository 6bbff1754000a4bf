/**
 * What the daemon tells systemd: sd_notify(3). A datagram each to the socket of NOTIFY_SOCKET.
 */
import { Errno, SystemError } from "../../pkg/sys/errno.ts";
import { encode } from "../../pkg/sys/text.ts";
import { sendDatagram, unixAddress } from "./notify-socket.ts";

/** All of it is nothing where no service manager waits. Never throws, never blocks. */
export interface Notifier {
  /** Once: the service is up. */
  ready(status: string): void;
  /** One sentence that `systemctl status` shows. */
  status(status: string): void;
  /** The service ends now: the watchdog has no more to say. */
  stopping(): void;
}

export interface NotifierOptions {
  environment: Readonly<Record<string, string | undefined>>;
  pid: number;
  /** Told once, if the datagrams do not arrive. */
  warn(message: string): void;
}

export function createNotifier({ environment, pid, warn }: NotifierOptions): Notifier {
  const path = environment["NOTIFY_SOCKET"];
  if (!path) return { ready() {}, status() {}, stopping() {} };
  const send = senderTo(path, warn);
  const stopWatchdog = startWatchdog(watchdogMs(environment, pid), () => send("WATCHDOG=1"));
  return {
    ready: (status) => send("READY=1", statusLine(status)),
    status: (status) => send(statusLine(status)),
    stopping() {
      stopWatchdog();
      send("STOPPING=1");
    },
  };
}

/** How often systemd must hear of us (sd_watchdog_enabled(3)); undefined: it does not wait for that, or not from us. */
export function watchdogMs(environment: NotifierOptions["environment"], pid: number): number | undefined {
  const { WATCHDOG_USEC: microseconds = "", WATCHDOG_PID: expected } = environment;
  if (expected !== undefined && expected !== String(pid)) return undefined;
  return /^[1-9]\d*$/.test(microseconds) ? Number(microseconds) / 1000 : undefined;
}

/** A timer of the event loop: when that does not go round, nothing is sent, which is the point. */
function startWatchdog(limitMs: number | undefined, alive: () => void): () => void {
  if (limitMs === undefined) return () => {};
  alive();
  const timer = setInterval(alive, Math.min(limitMs / 2, LONGEST_TIMER_MS)).unref();
  return () => clearInterval(timer);
}
/** Node takes what is longer as 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const statusLine = (status: string): string => `STATUS=${status.replaceAll("\n", " ")}`;

function senderTo(path: string, warn: (message: string) => void): (...lines: string[]) => void {
  const address = /^[/@]./.test(path) ? unixAddress(path) : undefined; // sd_notify(3) knows no other
  let isWarned = false;
  return (...lines) => {
    const result = address ? trySend(address, encode(lines.join("\n"))) : -Errno.EINVAL;
    if (result >= 0 || isWarned) return;
    isWarned = true;
    warn(
      `the service manager's socket ${path} does not take messages (errno ${-result}): it will not know that flanneld is ready; see NOTIFY_SOCKET`,
    );
  };
}

/** @returns -errno when it was not sent */
function trySend(address: Uint8Array, data: Uint8Array): number {
  try {
    return sendDatagram(address, data);
  } catch (error) {
    if (error instanceof SystemError) return -error.errno;
    throw error;
  }
}
