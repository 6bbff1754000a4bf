// Random input of tests: one seed for all of a run. dev/test.mjs prints it; CI fixes it, so that a change fails there or passes, whenever it runs.
import { variable } from "./process.ts";

/** Returns TWILL_SEED, or a number by the clock. */
export const testSeed = (): number => Number(variable("TWILL_SEED") || Date.now() % 1_000_000);

/** Returns a generator of numbers in [0, 1), the same sequence for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
