/** The end of the daemon, and waiting that it may interrupt. */

/** Thrown by whatever waits when the daemon is to end. */
export class Stopped extends Error {
  override name = "Stopped";
}

/** @returns aborted by the first SIGINT or SIGTERM; the second one ends the process at once, as the kernel does it */
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

/** @throws Stopped, when it is time */
export const untilStopped = (stop: AbortSignal): Promise<never> =>
  pause(FOR_EVER_MS, stop).then(() => untilStopped(stop));
/** Node's longest timer: 24 days. It also keeps the process alive. */
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

export interface RetryPolicy {
  everyMs: number;
  stop: AbortSignal;
  /** Whether trying again may help; anything else is thrown. */
  isPassing(error: unknown): boolean;
  /** Told of each failure; mostly the same one again and again. */
  failed(error: Error): void;
}

/** Tries until it works. @throws Stopped; what is not passing */
export async function retry<T>(work: () => Promise<T>, { everyMs, stop, isPassing, failed }: RetryPolicy): Promise<T> {
  for (;;) {
    stop.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Error) || !isPassing(error)) throw error;
      failed(error);
    }
    await pause(everyMs, stop);
  }
}

/** In reverse: what came last needs what was before it. @param failed Told of those that throw; the others still have their turn. */
export async function runCleanups(ends: readonly (() => unknown)[], failed: (error: Error) => void): Promise<void> {
  for (const end of ends.toReversed()) {
    try {
      await end();
    } catch (error) {
      failed(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
