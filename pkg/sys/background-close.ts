/**
 * Closes descriptors in a second process, for those whose close is slow: the kernel waits for a grace period of 4 to 16 ms to close
 * a packet socket, and a program with one thread can do nothing else meanwhile. QuickJS only.
 *
 * The second process shares the table of descriptors with this one and nothing else, and ends when this one does.
 *
 * Rejected: closing them when the program is idle. A hundred containers that start at once are done with a hundred sockets at once,
 * and the next request waits for all of them.
 */
import { closeFile, writeAll } from "./file.ts";
import { exitNow, findOutcome, pipe, processId } from "./process.ts";
import { ask, call } from "./syscall.ts";

const CLONE_FILES = 0x400;
const SIGCHLD = 17;
const SIGKILL = 9;
const PR_SET_PDEATHSIG = 1;

/** Starts the second process. @returns a function that has a descriptor closed, which must not be used any more after the call. */
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
