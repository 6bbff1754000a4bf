/** The time, as those who keep leases need it; tests have one of their own. */
import { bootMs, nowMs } from "../../sys/clock.ts";

export interface Clock {
  /** Milliseconds since 1970; the administrator may set it. */
  wallMs(): number;
  /** Milliseconds since an unknown moment; goes on while the machine is suspended. */
  bootMs(): number;
  /** Calls `work` when the machine has run that long, suspension not counted. @returns prevents it */
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

/** All in milliseconds. */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 1000;

/** How long whoever has lost a race waits, at random, so that the next one is between fewer. @param lost How many before this one. @param random In [0, 1). */
export const racePauseMs = (lost: number, random: () => number): number =>
  random() * Math.min(FIRST_PAUSE * 2 ** lost, LONGEST_PAUSE);
