/** The clock and timers of what takes part in the event loop; tests replace them. */
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
