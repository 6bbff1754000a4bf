/** Makes signals readable, for a program that waits for descriptors. */
import { ask, call } from "./syscall.ts";

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGTERM = 15;
export const SIGCHLD = 17;

const SIG_BLOCK = 0;
const SFD_NONBLOCK = 0o4000;
const SFD_CLOEXEC = 0o2000000;

/** Opens a descriptor from which the signals are read; from now on they have no other effect. */
export function openSignals(signals: readonly number[]): number {
  const mask = new DataView(new ArrayBuffer(8)); // sigset_t: bit n - 1 is signal n
  mask.setBigUint64(
    0,
    signals.reduce((bits, signal) => bits | (1n << BigInt(signal - 1)), 0n),
    true,
  );
  const bytes = new Uint8Array(mask.buffer);
  call("rt_sigprocmask", undefined, SIG_BLOCK, bytes, 0, bytes.length);
  return call("signalfd4", undefined, -1, bytes, bytes.length, SFD_NONBLOCK | SFD_CLOEXEC);
}

/** Takes the next signal; undefined: none has come. */
export const nextSignal = (fd: number): number | undefined => nextSentSignal(fd)?.signal;

/** A signal, and whether a process has sent it: those of a terminal come from the kernel, and all processes in front get them. */
export interface SentSignal {
  signal: number;
  byProcess: boolean;
}

/** Takes the next signal; undefined: none has come. */
export function nextSentSignal(fd: number): SentSignal | undefined {
  const info = new DataView(new ArrayBuffer(SIGINFO_SIZE)); // linux/signalfd.h: struct signalfd_siginfo: signo, errno, code
  if (ask("read", fd, new Uint8Array(info.buffer), SIGINFO_SIZE) !== SIGINFO_SIZE) return undefined;
  return { signal: info.getUint32(0, true), byProcess: info.getInt32(8, true) <= 0 }; // SI_USER 0, SI_QUEUE -1, SI_TKILL -6
}
const SIGINFO_SIZE = 128;
