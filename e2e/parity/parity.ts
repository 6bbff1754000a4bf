// Plays each row with the Go plugins and with ours; and crosswise, as when a node is switched over with containers running: what one
// has made, the other checks and removes. That is one code path for all rows, so every fourth shows it in a full run, and all in the long one.
// `npm test` has every eighth row, the complete kernel every second one of those that only it can play.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { inFullRunOnly, inLab, inLongRunOnCompleteKernel, inLongRunOnly, needsKernel } from "../lab/needs.ts";
import { goBin, ourBin, projectRoot } from "../lab/project.ts";
import { compare } from "./compare.ts";
import { play } from "./record.ts";
import type { Deviation, Row } from "./row.ts";

const IN_EACH_RUN = 8;
const ON_COMPLETE_KERNEL = 2;
const CROSSWISE_EACH = inLab ? Number.POSITIVE_INFINITY : 4; // of each plugin the first

/** @param everywhere Deviations that any row may show, and one row at least has to. */
export function testParity(rows: readonly Row[], everywhere: readonly Deviation[]): void {
  if (!existsSync(join(goBin, "bridge"))) throw new Error(`no Go plugins in ${goBin}: npm run setup`);
  const unseen = new Map(everywhere.map((deviation) => [deviation, compare([], [], [deviation]).unseen]));
  const crosswise = rows.filter((row) => !isOneSided(row));

  for (const [at, row] of rows.entries()) {
    const deviations = row.deviations ?? [];
    const needs = needsKernel(...(row.needs ?? []));
    const here = at % ON_COMPLETE_KERNEL === 0 ? needs : inLongRunOnCompleteKernel(needs);
    const need = at % IN_EACH_RUN === 0 ? here : inFullRunOnly(here);
    t.test(row.name, need, async (t) => {
      const go = play(t, row, () => goBin);
      const ours = play(t, row, () => ourBin);

      const { unexplained } = compare(go.lines, ours.lines, [...everywhere, ...deviations]);
      t.strictSame(unexplained, [], "same result and state, but for the declared deviations");
      t.strictSame(compare(go.lines, ours.lines, deviations).unseen, [], "each declared deviation is there");
      for (const [deviation, left] of unseen) {
        const still = compare(go.lines, ours.lines, [deviation]).unseen;
        unseen.set(
          deviation,
          left.filter((pattern) => still.includes(pattern)),
        );
      }

      const turn = crosswise.indexOf(row);
      if (turn < 0) return;
      await t.test("crosswise", turn % CROSSWISE_EACH === 0 ? need : inLongRunOnly(need), async (t) => {
        const goAdds = play(t, row, (verb) => (verb === "ADD" ? goBin : ourBin));
        const weAdd = play(t, row, (verb) => (verb === "ADD" ? ourBin : goBin));
        for (const [who, played] of Object.entries({ "Go adds, we go on": goAdds, "we add, Go goes on": weAdd })) {
          const { unexplained } = compare(go.lines, played.lines, [...everywhere, ...deviations]);
          t.strictSame(unexplained, [], who);
        }
      });
    });
  }

  const someRun = rows.some(({ needs = [] }) => needsKernel(...needs).skip === false);
  const need = someRun ? inFullRunOnly(needsKernel()) : { skip: "none of the rows runs on this kernel" };
  t.test("deviations that any row may show are seen in one at least", need, async (t) => {
    t.strictSame([...unseen.values()].flat(), []);
  });

  t.test("the pages explain each intended deviation", async (t) => {
    const folder = join(projectRoot, "docs/plugins");
    const pages = [
      join(projectRoot, "docs/compatibility.md"),
      ...readdirSync(folder).map((page) => join(folder, page)),
    ];
    const text = pages.map((page) => readFileSync(page, "utf8")).join("\n");
    const titles = [...everywhere, ...rows.flatMap((row) => row.deviations ?? [])]
      .filter(({ settledIn191 }) => !settledIn191)
      .map(({ title }) => title);
    t.strictSame(
      [...new Set(titles)].filter((title) => !text.includes(`### ${title}\n`)),
      [],
    );
  });
}

/** Nothing but ADDs, or none, would be the same play again. */
function isOneSided({ steps }: Row): boolean {
  const verbs = (steps ?? ["ADD", "DEL"]).map((step) => (typeof step === "string" ? step : step.verb));
  return verbs.every((verb) => verb === "ADD") || !verbs.includes("ADD");
}
