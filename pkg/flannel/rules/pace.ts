/** When to look again at what others may have changed: soon, but not for each of a thousand changes, and not in a race with whoever undoes our repairs. Pure. */

/** Without a change for so long, whoever changes something is done. */
const QUIET_MS = 100;
/** From the first change on, for those who do not stop. */
const LONGEST_MS = 1000;
/** Repairs are counted for so long, and so many of them are a fight. */
const MEMORY_MS = 60_000;
const FIGHT = 5;

export interface Pace {
  /** Something changed now. @returns after how many milliseconds to look, unless something else changes before */
  waitMs(now: number): number;
  looked(now: number, found: { repaired: boolean }): void;
  /** True once per fight. */
  becameFight(): boolean;
}

/** @param longestMs That repairs are at most apart. */
export function newPace({ longestMs }: { longestMs: number }): Pace {
  let firstChange: number | undefined;
  let repairs: number[] = [];
  let told = false;
  return {
    waitMs(now) {
      firstChange ??= now;
      const quiet = Math.max(0, Math.min(QUIET_MS, firstChange + LONGEST_MS - now));
      const apart = repairs.length < FIGHT ? 0 : Math.min(longestMs, 1000 * 2 ** (repairs.length - FIGHT));
      return Math.max(quiet, (repairs.at(-1) ?? 0) + apart - now);
    },
    looked(now, { repaired }) {
      firstChange = undefined;
      repairs = repairs.filter((at) => now - at < MEMORY_MS);
      if (repaired) repairs.push(now);
      if (repairs.length === 0) told = false;
    },
    becameFight() {
      const news = repairs.length >= FIGHT && !told;
      told ||= news;
      return news;
    },
  };
}
