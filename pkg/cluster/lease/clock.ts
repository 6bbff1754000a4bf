/** The clock that the lease code uses; tests replace it. */
import { bootMs, nowMs } from "../../sys/clock.ts";

export interface Clock {
  /** Returns milliseconds since 1970; may jump when the administrator sets the time. */
  wallMs(): number;
  /** Returns milliseconds since an unspecified moment; continues while the machine is suspended. */
  bootMs(): number;
  /** Calls `work` after that much running time; suspension does not count. @returns cancels it */
  after(ms: number, work: () => void): () => void;
}

export const systemClock: Clock = {
  wallMs: nowMs,
  bootMs,
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

export const pause = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.after(ms, resolve);
  });

/** Limits of `racePauseMs`, in milliseconds. */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 1000;

/**
 * Returns a random backoff after a lost race, so that fewer hosts compete the next time.
 *
 * @param lost How many races were lost before this one.
 * @param random In [0, 1).
 */
export const racePauseMs = (lost: number, random: () => number): number =>
  random() * Math.min(FIRST_PAUSE * 2 ** lost, LONGEST_PAUSE);
