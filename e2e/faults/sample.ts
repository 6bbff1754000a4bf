// Which of many points get their fault: every tenth from a random one on, or all of them.
//
//   TWILL_FAULTS=all   every point; on the complete kernel, where everything takes ten times as long, every tenth
//   TWILL_FAULTS=3     the same points again: every tenth from the fourth on
import { inLab } from "../lab/needs.ts";

const wanted = process.env["TWILL_FAULTS"] || String(Math.floor(Math.random() * 1000));
const isAll = wanted === "all";
const first = isAll ? 0 : Number(wanted);
if (!Number.isInteger(first) || first < 0) throw new Error(`TWILL_FAULTS=${wanted}: must be "all" or a whole number`);
const step = (isAll ? 1 : 10) * (inLab ? 10 : 1);

/** What brings the same points again. */
export const chosenBy = `TWILL_FAULTS=${wanted}`;

/** At least one where there are any. */
export const sample = <T>(points: readonly T[]): T[] =>
  points.filter((_, i) => i % step === first % Math.min(step, points.length));
