import t from "tap";
import { isMet, quartiles, ratio, Samples, withGoals } from "./figures.ts";

t.test("quartiles do not depend on the order of the samples, and lie between neighbours", async (t) => {
  t.strictSame(quartiles([5, 1, 4, 2, 3]), { low: 2, median: 3, high: 4, count: 5 });
  t.strictSame(quartiles([4, 1, 3, 2]), { low: 1.75, median: 2.5, high: 3.25, count: 4 });
  t.strictSame(quartiles([7]), { low: 7, median: 7, high: 7, count: 1 });
  t.throws(() => quartiles([]), RangeError);
});

t.test("a goal is met at its limit, and there is none without the figure it compares with", async (t) => {
  const samples = new Samples();
  for (const [name, value] of [
    ["twill ADD", 1],
    ["Go ADD", 4],
  ] as const)
    samples.add(name, value);
  const row = withGoals(
    { section: "s", name: "ADD", unit: "ms", figures: samples.figures("ADD") },
    { Go: 0.25, C: 1.3 },
  );
  t.equal(ratio(row, "Go"), 0.25);
  t.equal(ratio(row, "C"), undefined);
  t.strictSame(row.goals, [{ of: "of Go's", value: 0.25, limit: 0.25 }]);
  t.ok(row.goals.every(isMet));
});
