/**
 * Notifies systemd, as sd_notify(3): sends datagrams to the socket in NOTIFY_SOCKET.
 */
import { Errno, SystemError } from "../../pkg/sys/errno.ts";
import { encode } from "../../pkg/sys/text.ts";
import { sendDatagram, unixAddress } from "./notify-socket.ts";

/** Notifications; without a service manager they do nothing. They never throw and never block. */
export interface Notifier {
  /** Reports, once, that the service is up. */
  ready(status: string): void;
  /** Sets the sentence that `systemctl status` shows. */
  status(status: string): void;
  /** Reports that the service ends now, and stops the watchdog. */
  stopping(): void;
}

export interface NotifierOptions {
  environment: Readonly<Record<string, string | undefined>>;
  pid: number;
  /** Called once, if datagrams cannot be sent. */
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

/** Returns systemd's watchdog timeout (sd_watchdog_enabled(3)); undefined: there is none, or not for this process. */
export function watchdogMs(environment: NotifierOptions["environment"], pid: number): number | undefined {
  const { WATCHDOG_USEC: microseconds = "", WATCHDOG_PID: expected } = environment;
  if (expected !== undefined && expected !== String(pid)) return undefined;
  return /^[1-9]\d*$/.test(microseconds) ? Number(microseconds) / 1000 : undefined;
}

/** Starts the watchdog notifications. They depend on the event loop on purpose: if it is blocked, nothing is sent. */
function startWatchdog(limitMs: number | undefined, alive: () => void): () => void {
  if (limitMs === undefined) return () => {};
  alive();
  const timer = setInterval(alive, Math.min(limitMs / 2, LONGEST_TIMER_MS)).unref();
  return () => clearInterval(timer);
}
/** Node treats longer delays as 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const statusLine = (status: string): string => `STATUS=${status.replaceAll("\n", " ")}`;

function senderTo(path: string, warn: (message: string) => void): (...lines: string[]) => void {
  const address = /^[/@]./.test(path) ? unixAddress(path) : undefined; // the forms that sd_notify(3) allows
  let isWarned = false;
  return (...lines) => {
    const result = address ? trySend(address, encode(lines.join("\n"))) : -Errno.EINVAL;
    if (result >= 0 || isWarned) return;
    isWarned = true;
    warn(
      `cannot send to the service manager's socket ${path} (errno ${-result}): systemd is not told that flanneld is ready. To fix: check NOTIFY_SOCKET`,
    );
  };
}

/** @returns -errno if it was not sent */
function trySend(address: Uint8Array, data: Uint8Array): number {
  try {
    return sendDatagram(address, data);
  } catch (error) {
    if (error instanceof SystemError) return -error.errno;
    throw error;
  }
}
