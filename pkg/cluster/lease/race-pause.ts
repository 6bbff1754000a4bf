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
