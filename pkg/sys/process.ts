/** This process and its children. */
import { native } from "#native";
import { monotonicMs, sleepMs } from "./clock.ts";
import { Errno, isErrno, SystemError } from "./errno.ts";
import { closeFile, findStat, Open, openFile, readAll, writeAll } from "./file.ts";
import { waitReadable } from "./poll.ts";
import { ask, call } from "./syscall.ts";
import { encode } from "./text.ts";

const O_CLOEXEC = 0o2000000;
const MFD_CLOEXEC = 1;
const SIGCHLD = 17;
const SIGKILL = 9;
/** In bytes; a result has a few hundred. */
const OUTPUT_LIMIT = 16 << 20;
const WNOHANG = 1;

export const processArguments = (): string[] => native.args();

/** Returns the variables by name; when a name occurs more than once, the last one counts. */
export function environment(): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const variable of native.environment()) {
    const equals = variable.indexOf("=");
    variables[variable.slice(0, equals)] = variable.slice(equals + 1);
  }
  return variables;
}

/** Returns one variable; undefined when it is not set. */
export function variable(name: string): string | undefined {
  const start = `${name}=`;
  let value: string | undefined;
  for (const one of native.environment()) if (one.startsWith(start)) value = one.slice(start.length);
  return value;
}

/**
 * Returns the file that PATH has for a command. Relative directories are ignored: as root, it must not run files of the current
 * directory.
 */
export function findCommand(name: string): string | undefined {
  return (variable("PATH") ?? "")
    .split(":")
    .filter((directory) => directory.startsWith("/"))
    .map((directory) => `${directory}/${name}`)
    .find(isFoundFile);
}

/** Directories of PATH that may not be searched have nothing, as execvp(3) takes it. */
function isFoundFile(path: string): boolean {
  try {
    return findStat(path)?.type === "file";
  } catch (error) {
    if (isErrno(error, "EACCES")) return false;
    throw error;
  }
}

export const processId = (): number => ask("getpid");

export const standardInput = 0;
export const standardOutput = 1;
export const standardError = 2;

/** Writes a message for people. A failure (stderr is closed, the disk of the log is full) must not fail the call. */
export function writeStderr(text: string): void {
  try {
    writeAll(standardError, encode(text), "stderr");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

export interface Program {
  /** The executable file; PATH is not searched. */
  path: string;
  /** Arguments without the program's own name. */
  args?: readonly string[];
  environment: Readonly<Record<string, string>>;
  stdin: Uint8Array;
  /** Whether its stderr goes into `stdout` as well; otherwise it inherits our stderr. */
  takesStderr?: boolean;
  /** After which it is killed; it may take as long as it likes when absent. */
  longestMs?: number;
}

export interface Outcome {
  /** Exit status; undefined when a signal ended it. */
  status: number | undefined;
  signal: number | undefined;
  stdout: Uint8Array;
}

/**
 * Runs a program to its end. It is killed when this process is (QuickJS only).
 *
 * Its input is a memory file with all of it, not a pipe: a program that does not read can neither block us nor cause a SIGPIPE.
 *
 * @throws SystemError the file cannot be executed (ENOENT, EACCES, ETXTBSY: it is still being written); EFBIG: the program wrote
 *   more than 16 MiB, and was killed; ETIMEDOUT: it was killed after `longestMs`.
 */
export function run(program: Program): Outcome {
  const { path, args = [], environment, stdin, takesStderr = false, longestMs } = program;
  const input = call("memfd_create", undefined, "stdin", MFD_CLOEXEC);
  const [output, outputEnd] = pipe();
  try {
    writeAll(input, stdin);
    call("lseek", undefined, input, 0, 0);
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const errors = takesStderr ? outputEnd : standardError;
    const child = native.spawn(path, [path, ...args], variables, [input, outputEnd, errors]);
    closeFile(outputEnd); // so that the output ends when the program closes its own
    if (child < 0) throw new SystemError("execve", -child, path);
    const endMs = longestMs === undefined ? undefined : monotonicMs() + longestMs;
    const stdout = endMs === undefined ? readAll(output, path, OUTPUT_LIMIT) : readBy(endMs, child, output, path);
    if (stdout.length > OUTPUT_LIMIT) ask("kill", child, SIGKILL);
    const end = endMs === undefined ? wait(child) : waitBy(endMs, child, path); // it may have closed its output and go on
    if (stdout.length > OUTPUT_LIMIT) throw new SystemError("read", Errno.EFBIG, `output of ${path}`);
    return { ...end, stdout };
  } finally {
    for (const fd of [input, output]) closeFile(fd);
  }
}

/**
 * Reads all that a child prints.
 *
 * @throws SystemError ETIMEDOUT: it had not ended in time, and was killed. What it started itself may live on.
 */
function readBy(endMs: number, child: number, output: number, path: string): Uint8Array {
  call("fcntl", undefined, output, F_SETFL, Open.nonBlocking);
  return readAll(output, path, OUTPUT_LIMIT, () => {
    if (waitReadable([output], Math.max(0, endMs - monotonicMs())).length === 0) throw killed(child, path);
  });
}

/** Waits for a child's end. @throws SystemError ETIMEDOUT: it had not ended in time, and was killed */
function waitBy(endMs: number, child: number, path: string): Pick<Outcome, "status" | "signal"> {
  const process = ask("pidfd_open", child, 0);
  if (process < 0) return askUntilEnd(endMs, child, path); // before Linux 5.3, or forbidden by a seccomp profile
  try {
    if (waitReadable([process], Math.max(0, endMs - monotonicMs())).length === 0) throw killed(child, path);
  } finally {
    closeFile(process);
  }
  return wait(child);
}

function askUntilEnd(endMs: number, child: number, path: string): Pick<Outcome, "status" | "signal"> {
  for (;;) {
    const end = findOutcome(child);
    if (end !== undefined) return end;
    if (monotonicMs() >= endMs) throw killed(child, path);
    sleepMs(END_PAUSE_MS);
  }
}
const END_PAUSE_MS = 5;

function killed(child: number, path: string): SystemError {
  ask("kill", child, SIGKILL);
  wait(child);
  return new SystemError("wait", Errno.ETIMEDOUT, path);
}
const F_SETFL = 4;

/**
 * Starts a program without waiting for it: `findOutcome` tells its end. It has nothing to read, what it prints is lost, its errors are on our stderr,
 * and it is killed when this process is (QuickJS only).
 *
 * @param args its own name first
 */
export function start(path: string, args: string[], environment: Readonly<Record<string, string>>): number {
  const nothing = openFile("/dev/null", Open.readWrite);
  try {
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const child = native.spawn(path, args, variables, [nothing, nothing, standardError]);
    if (child < 0) throw new SystemError("execve", -child, path);
    return child;
  } finally {
    closeFile(nothing);
  }
}

/**
 * Forks, QuickJS only: a copy of Node would lack its threads. The child must end with `exitNow`, and must close shared descriptors
 * whose reader waits for end of file.
 *
 * @returns 0 in the child, the child's process ID in the parent.
 */
export const fork = (): number => call("clone", undefined, SIGCHLD, 0, 0, 0, 0);

export function exitNow(status: number): never {
  call("exit_group", undefined, status);
  throw new Error("exit_group returned");
}

/** Waits for a child's end. */
export function wait(child: number): Pick<Outcome, "status" | "signal"> {
  return waitWith(child, 0) ?? { status: undefined, signal: undefined };
}

/** Returns how a child ended, undefined while it runs. */
export function findOutcome(child: number): Pick<Outcome, "status" | "signal"> | undefined {
  return waitWith(child, WNOHANG);
}

function waitWith(child: number, options: number): Pick<Outcome, "status" | "signal"> | undefined {
  const result = new Int32Array(1);
  if (call("wait4", undefined, child, new Uint8Array(result.buffer), options, 0) === 0) return undefined;
  const [word = 0] = result;
  const signal = word & 0x7f; // wait(2): the low seven bits; without a signal, the status is the next byte
  return signal === 0 ? { status: (word >> 8) & 0xff, signal: undefined } : { status: undefined, signal };
}

/** Collects reference cycles, for a program that runs for long: QuickJS does so only when asked. */
export const collectCycles = (): void => native.collect();

/** Raises the limit of open files to the hard limit. */
export function raiseFileLimit(): void {
  const limit = new BigUint64Array(2); // struct rlimit64: soft limit, hard limit
  call("prlimit64", undefined, 0, RLIMIT_NOFILE, 0, new Uint8Array(limit.buffer));
  limit[0] = limit[1] ?? 0n;
  call("prlimit64", undefined, 0, RLIMIT_NOFILE, new Uint8Array(limit.buffer), 0);
}
const RLIMIT_NOFILE = 7;

export function pipe(): [readEnd: number, writeEnd: number] {
  const ends = new Int32Array(2);
  call("pipe2", undefined, new Uint8Array(ends.buffer), O_CLOEXEC);
  return [ends[0] ?? -1, ends[1] ?? -1];
}
