// Which of many points get their fault: every n-th, from one on that the seed and the test decide. The sample is another one in each run by hand,
// and the same in each run of CI, which sets the seed.
//
//   TWILL_FAULTS=all              every point
//   TWILL_FAULTS=10               every tenth; without it every tenth, in the long run all, and on the complete kernel,
//                                 where everything takes ten times as long, a tenth of that
//   TWILL_SEED=3                  the same points again

import { randomFrom, testSeed } from "../../pkg/sys/random.testing.ts";
import { inLab, inLongRun } from "../lab/needs.ts";

const wanted = process.env["TWILL_FAULTS"] || String((inLongRun ? 1 : 10) * (inLab ? 10 : 1));
const step = wanted === "all" ? 1 : Number(wanted);
if (!Number.isInteger(step) || step < 1) throw new Error(`TWILL_FAULTS=${wanted}: must be "all" or a whole number`);
const seed = testSeed();

/** What brings the same points again. */
export const chosenBy = step === 1 ? "TWILL_FAULTS=all" : `TWILL_FAULTS=${step} TWILL_SEED=${seed}`;

/** @returns what chooses for this test: at least one point where there are any */
export function sampleFor(title: string): <T>(points: readonly T[]) => T[] {
  const first = Math.floor(randomFrom(seed + hashOf(title))() * step);
  return (points) => points.filter((_, i) => i % step === first % Math.min(step, points.length));
}

/** @returns a whole number below `count` that the seed and the name decide */
export function pickFor(name: string, count: number): number {
  return Math.floor(randomFrom(seed + hashOf(name))() * count);
}

const hashOf = (text: string): number =>
  [...text].reduce((hash, letter) => Math.imul(hash, 31) + letter.charCodeAt(0), 0);
