/**
 * What the daemon tells systemd: sd_notify(3). A datagram to the socket of NOTIFY_SOCKET; Node has no such sockets, so that they are
 * asked of the kernel.
 */
import { Errno } from "../../pkg/sys/errno.ts";
import { closeFile } from "../../pkg/sys/file.ts";
import { openSocket } from "../../pkg/sys/socket.ts";
import { ask } from "../../pkg/sys/syscall.ts";
import { encode } from "../../pkg/sys/text.ts";

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

/** asm-generic/socket.h */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

function senderTo(path: string, warn: (message: string) => void): (...lines: string[]) => void {
  const address = unixAddress(path);
  let isWarned = false;
  return (...lines) => {
    const result = address ? sendDatagram(address, encode(lines.join("\n"))) : -Errno.EINVAL;
    if (result >= 0 || isWarned) return;
    isWarned = true;
    warn(
      `the service manager's socket ${path} does not take messages (errno ${-result}): it will not know that flanneld is ready; see NOTIFY_SOCKET`,
    );
  };
}

/** @returns -errno when it was not sent */
function sendDatagram(address: Uint8Array, data: Uint8Array): number {
  const fd = openSocket(AF_UNIX, SOCK_DGRAM, 0);
  try {
    return ask("sendto", fd, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
  } finally {
    closeFile(fd);
  }
}

/**
 * struct sockaddr_un; an `@` in front stands for a name that is in no file system. Neither has a NUL at its end: systemd's abstract names
 * would be others with it.
 *
 * @returns undefined for what no such socket can be called
 */
export function unixAddress(path: string): Uint8Array | undefined {
  const name = encode(path.replace(/^@/, "\0"));
  if (!/^[/@]./.test(path) || name.length > LONGEST_NAME) return undefined;
  return Uint8Array.of(AF_UNIX, 0, ...name);
}
/** Bytes of sun_path. */
const LONGEST_NAME = 108;
