/** Starts a command in a mount and a UTS namespace of its own, and in a network namespace that is there. QuickJS only: it forks. */
import { native } from "#native";
import { SystemError } from "./errno.ts";
import { closeFile, readAll, writeAll } from "./file.ts";
import { exitNow, fork, pipe, processId, wait } from "./process.ts";
import { ask, call } from "./syscall.ts";
import { decode, encode } from "./text.ts";

/** linux/sched.h */
const CLONE_NEWNS = 0x20000;
const CLONE_NEWUTS = 0x4000000;
const CLONE_NEWNET = 0x40000000;
/** linux/mount.h */
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_SLAVE = 0x80000;
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
const SIG_SETMASK = 2;
/** Of sigset_t, in bytes. */
const SIGSET_SIZE = 8;
/** In bytes; an error has a few hundred. */
const LONGEST_ERROR = 4096;

export interface IsolatedCommand {
  /** The executable file. */
  path: string;
  /** Its own name first. */
  args: readonly string[];
  environment: Readonly<Record<string, string>>;
  /** A network namespace that is held open; undefined: that of this process. */
  netns: number | undefined;
  hostName: string;
  /** Files that it sees in the place of others, which exist. */
  files: readonly { source: string; target: string }[];
}

/** The command could not be started; `errno` is that of execve(2) where this was refused. */
export class NotStarted extends Error {
  override name = "NotStarted";
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

/**
 * Starts it with the standard streams of this process, in its process group, so that a terminal's signals reach it. It is killed when this process is.
 *
 * @returns its process ID
 * @throws NotStarted
 */
export function startIsolated(command: IsolatedCommand): number {
  const [failure, failureEnd] = pipe();
  const parent = processId();
  const child = fork();
  if (child === 0) {
    const text = become(command, parent);
    writeAll(failureEnd, encode(text), "pipe");
    exitNow(1);
  }
  closeFile(failureEnd);
  try {
    const text = decode(readAll(failure, "pipe", LONGEST_ERROR)); // ends when the command is there, since the pipe is closed on exec
    if (text === "") return child;
    wait(child);
    const [code = "", ...lines] = text.split("\n");
    throw new NotStarted(lines.join("\n"), code === "" ? undefined : code);
  } finally {
    closeFile(failure);
  }
}

/** Becomes the command. @returns why that failed: the errno of execve where it was that, and a sentence on the next line */
function become(command: IsolatedCommand, parent: number): string {
  try {
    call("prctl", undefined, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (ask("getppid") !== parent) exitNow(1);
    call("unshare", "new mount and UTS namespaces", CLONE_NEWNS | CLONE_NEWUTS);
    call("mount", "/", "", "/", "", MS_REC | MS_SLAVE, 0); // so that what is mounted here is not on the host
    for (const { source, target } of command.files) call("mount", target, source, target, "", MS_BIND, 0);
    const hostName = encode(command.hostName);
    call("sethostname", command.hostName, hostName, hostName.length);
    if (command.netns !== undefined) enterNetwork(command.netns);
    restoreSignals();
  } catch (error) {
    return `\n${error instanceof Error ? error.message : String(error)}`;
  }
  const refused = execute(command);
  return `${refused.code}\n${refused.message}`;
}

/** sysfs shows the network namespace of who mounts it; where it cannot be mounted, the host's stays. */
function enterNetwork(netns: number): void {
  call("setns", "the network namespace", netns, CLONE_NEWNET);
  ask("mount", "sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
}

/** The host program blocks SIGPIPE and SIGXFSZ, and what reads signals blocks those; a command would inherit that. */
function restoreSignals(): void {
  call("rt_sigprocmask", undefined, SIG_SETMASK, new Uint8Array(SIGSET_SIZE), 0, SIGSET_SIZE);
}

/** Returns only when the kernel refuses. */
function execute({ path, args, environment }: IsolatedCommand): SystemError {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const lists = [args, variables].map(listOfTexts);
  const [argv, envp] = lists.map(({ addresses }) => new Uint8Array(addresses.buffer));
  return new SystemError("execve", -ask("execve", path, argv, envp), path);
}

/** Makes a list of pointers to texts that end with NUL, and a null pointer behind them (execve(2)); the texts have to be kept as long. */
function listOfTexts(texts: readonly string[]): { addresses: BigUint64Array; kept: Uint8Array[] } {
  const kept = texts.map((text) => encode(`${text}\0`));
  return { addresses: BigUint64Array.from([...kept.map((bytes) => BigInt(native.address(bytes))), 0n]), kept };
}
