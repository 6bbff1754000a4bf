/** The priority (nice value) at which the thread of an event loop waits for a processor. Node only. */
import { getPriority, setPriority } from "node:os";

/** A loop has little to do and must do it soon, also while packets take all processors. */
const LOOP = -10;
/** That of this process when it was started. */
const asStarted = getPriority();

/**
 * Puts the main thread before those of other programs with the usual priority. Threads and processes that it creates from now on inherit
 * that, but for those of `withPriorityOfStart`. Without the capability SYS_NICE everything stays as it is.
 */
export function raiseLoopPriority(): void {
  trySet(Math.min(LOOP, asStarted));
}

/** Does work that creates threads or processes which are to have the priority that this process was started with. */
export function withPriorityOfStart<T>(work: () => T): T {
  const before = getPriority(process.pid);
  trySet(asStarted);
  try {
    return work();
  } finally {
    trySet(before);
  }
}

function trySet(niceness: number): void {
  try {
    setPriority(process.pid, niceness); // on Linux of the thread with that number, the main thread
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_SYSTEM_ERROR") throw error;
  }
}
