import t from "tap";
import { pause, retry, runCleanups, Stopped } from "./shutdown.ts";

const patience = (over: Partial<Parameters<typeof retry>[1]> = {}) => ({
  everyMs: 1,
  stop: new AbortController().signal,
  isPassing: () => true,
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
    patience({ failed: ({ message }) => failures.push(message) }),
  );
  t.equal(done, "done");
  t.strictSame(failures, ["attempt 1", "attempt 2"]);
});

t.test("what does not pass by itself is thrown at once", async (t) => {
  const work = async () => {
    throw new RangeError("for good");
  };
  await t.rejects(
    retry(work, patience({ isPassing: (error) => !(error instanceof RangeError) })),
    new RangeError("for good"),
  );
});

t.test("the end of the daemon interrupts waiting, and comes before the next attempt", async (t) => {
  const controller = new AbortController();
  const waiting = pause(60_000, controller.signal);
  controller.abort(new Stopped());
  await t.rejects(waiting, Stopped);
  await t.rejects(pause(0, controller.signal), Stopped);
  await t.rejects(
    retry(async () => t.fail("no attempt"), patience({ stop: controller.signal })),
    Stopped,
  );
});

t.test("everything is ended, the last first, although some of it fails", async (t) => {
  const told: string[] = [];
  const ends = [
    () => told.push("first"),
    () => {
      throw new Error("second fails");
    },
    async () => {
      throw new Error("third fails");
    },
    async () => told.push("fourth"),
  ];
  await runCleanups(ends, ({ message }) => told.push(message));
  t.strictSame(told, ["fourth", "third fails", "second fails", "first"]);
});
