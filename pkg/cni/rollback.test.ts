import t from "tap";
import { runAllSteps } from "./best-effort-del.ts";
import { CniError } from "./error.ts";
import { withRollback } from "./rollback.ts";

const fail = (text: string) => (): never => {
  throw new Error(text);
};

t.test("withRollback undoes nothing when all goes well", async (t) => {
  const done: string[] = [];
  const result = withRollback((undo) => {
    undo("remove", () => done.push("undone"));
    return 5;
  });
  t.equal(result, 5);
  t.strictSame(done, []);
});

t.test("withRollback undoes what was done, last first, and throws the first error", async (t) => {
  const done: string[] = [];
  const log: string[] = [];
  const work = () =>
    withRollback(
      (undo) => {
        undo("delete the bridge", () => done.push("bridge"));
        undo("delete the link", fail("the link is stuck"));
        undo("release", () => done.push("release"));
        return fail("step 4 failed")();
      },
      (line) => log.push(line),
    );
  t.throws(work, { message: "step 4 failed" });
  t.strictSame(done, ["release", "bridge"]);
  t.strictSame(log, ["after a failure: could not delete the link: the link is stuck"]);
});

t.test("withRollback runs no undo that was not registered yet", async (t) => {
  const done: string[] = [];
  t.throws(() =>
    withRollback((undo) => {
      undo("one", () => done.push("one"));
      fail("in between")();
      undo("two", () => done.push("two"));
    }),
  );
  t.strictSame(done, ["one"]);
});

t.test("attemptAll runs every step", async (t) => {
  const done: string[] = [];
  runAllSteps([
    ["one", () => done.push("one")],
    ["two", () => done.push("two")],
  ]);
  t.strictSame(done, ["one", "two"]);
  t.throws(() =>
    runAllSteps([
      ["one", fail("no")],
      ["three", () => done.push("three")],
    ]),
  );
  t.strictSame(done, ["one", "two", "three"]);
});

t.test("attemptAll throws the only error as it is", async (t) => {
  const error = new CniError({ code: 11, msg: "later", remedy: "wait" });
  const work = () =>
    runAllSteps([
      [
        "one",
        () => {
          throw error;
        },
      ],
    ]);
  t.throws(work, error);
});

t.test("attemptAll reports several errors under the first one's code", async (t) => {
  const work = () =>
    runAllSteps([
      [
        "release the addresses",
        () => {
          throw new CniError({ code: 11, msg: "later", details: "locked", remedy: "wait" });
        },
      ],
      ["delete the link", fail("the link is stuck")],
      ["remove the rules", fail("no such table")],
    ]);
  t.throws(work, {
    code: 11,
    msg: "later",
    details:
      "locked. To fix: wait; could not delete the link either: the link is stuck; could not remove the rules either: no such table",
  });
});
