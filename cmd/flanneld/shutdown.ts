/** Shutdown of the daemon, and waits that it interrupts. */

/** Thrown by interrupted waits when the daemon must end. */
export class Stopped extends Error {
  override name = "Stopped";
}

/** @returns a signal that the first SIGINT or SIGTERM aborts; the second one ends the process at once, by the kernel's default action */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = () => {
    for (const signal of STOPPING) process.off(signal, stop);
    controller.abort(new Stopped());
  };
  for (const signal of STOPPING) process.on(signal, stop);
  return controller.signal;
}
const STOPPING = ["SIGINT", "SIGTERM"] as const;

/** Waits until the daemon must end. @throws Stopped */
export const untilStopped = (stop: AbortSignal): Promise<never> =>
  pause(FOR_EVER_MS, stop).then(() => untilStopped(stop));
/** Node's longest timer, 24 days. It also keeps the process alive. */
const FOR_EVER_MS = 2 ** 31 - 1;

/** @throws Stopped */
export function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) return reject(stop.reason);
    const end = () => {
      clearTimeout(timer);
      reject(stop.reason);
    };
    const timer = setTimeout(() => {
      stop.removeEventListener("abort", end);
      resolve();
    }, ms);
    stop.addEventListener("abort", end, { once: true });
  });
}

/**
 * Runs cleanups in reverse order of registration, since later parts depend on earlier ones.
 *
 * @param failed Called for each cleanup that throws; the others still run.
 */
export async function runCleanups(ends: readonly (() => unknown)[], failed: (error: Error) => void): Promise<void> {
  for (const end of ends.toReversed()) {
    try {
      await end();
    } catch (error) {
      failed(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
