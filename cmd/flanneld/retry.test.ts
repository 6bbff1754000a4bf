import t from "tap";
import { retry } from "./retry.ts";

const policy = (over: Partial<Parameters<typeof retry>[1]> = {}) => ({
  everyMs: 1,
  stop: new AbortController().signal,
  isTemporary: () => true,
  failed() {},
  ...over,
});

t.test("what fails is tried until it works, and each failure is told", async (t) => {
  const failures: string[] = [];
  let attempt = 0;
  const done = await retry(
    async () => {
      if (++attempt < 3) throw new Error(`attempt ${attempt}`);
      return "done";
    },
    policy({ failed: ({ message }) => failures.push(message) }),
  );
  t.equal(done, "done");
  t.strictSame(failures, ["attempt 1", "attempt 2"]);
});

t.test("an error that is not temporary is thrown at once", async (t) => {
  const work = async () => {
    throw new RangeError("for good");
  };
  await t.rejects(
    retry(work, policy({ isTemporary: (error) => !(error instanceof RangeError) })),
    new RangeError("for good"),
  );
});
