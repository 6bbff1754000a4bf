/**
 * Closing descriptors with which the kernel takes its time: a packet socket waits for a grace period of 4 to 16 ms, in which a program with
 * one thread does nothing else. QuickJS only.
 *
 * A second process closes them. It shares the table of descriptors with this one and nothing else, and ends when this one does.
 *
 * Rejected: closing them when there is nothing else to do. A hundred containers that start at once are done with a hundred sockets at once, and
 * whoever comes next waits for all of them.
 */
import { closeFile, writeAll } from "./file.ts";
import { exitNow, findOutcome, pipe, processId } from "./process.ts";
import { ask, call } from "./syscall.ts";

const CLONE_FILES = 0x400;
const SIGCHLD = 17;
const SIGKILL = 9;
const PR_SET_PDEATHSIG = 1;

/** Starts the second process. @returns what has a descriptor closed; it must not be used any more from then on. */
export function startBackgroundClose(): (fd: number) => void {
  const [readEnd, writeEnd] = pipe();
  const parent = processId();
  const child = call("clone", undefined, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
  if (child === 0) closeAll(readEnd, parent);
  let isAlive = true;
  return (fd) => {
    isAlive &&= findOutcome(child) === undefined;
    if (isAlive) writeAll(writeEnd, numberBytes(fd));
    else closeFile(fd);
  };
}

function closeAll(readEnd: number, parent: number): never {
  call("prctl", undefined, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const number = new Int32Array(1);
  while (ask("getppid") === parent && ask("read", readEnd, new Uint8Array(number.buffer), 4) === 4)
    closeFile(number[0] ?? -1);
  exitNow(0);
}

const numberBytes = (number: number): Uint8Array => new Uint8Array(new Int32Array([number]).buffer);
