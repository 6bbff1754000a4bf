// The part of tap's `t` that the labs of e2e need, for a benchmark.
import type { Test } from "../e2e/cluster/program.ts";

/** Removes what was made for the work afterwards, also when it fails. */
export async function whileThereIs<T>(work: (t: Test) => Promise<T>): Promise<T> {
  const removals: (() => unknown)[] = [];
  const t: Test = { teardown: (removal) => removals.push(removal), passing: () => true, comment() {} };
  try {
    return await work(t);
  } finally {
    for (const remove of removals.reverse()) await remove();
  }
}
