/**
 * Decides when to check again what other programs may have changed: soon, but not once for each of a thousand changes, and with backoff
 * if another program keeps undoing our repairs. Pure.
 */

/** A burst of changes has ended after this time without one. */
const QUIET_MS = 100;
/** The longest delay after the first change, if changes do not stop. */
const LONGEST_MS = 1000;
/** Repairs are counted for this time; `FIGHT` of them mean that another program keeps undoing them. */
const MEMORY_MS = 60_000;
const FIGHT = 5;

export interface Pace {
  /** Records a change. @returns how many milliseconds later to check, unless another change comes before */
  waitMs(now: number): number;
  looked(now: number, found: { repaired: boolean }): void;
  /** Returns true once per series of undone repairs. */
  becameFight(): boolean;
}

/** @param longestMs The longest interval between repairs. */
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
