import t from "tap";
import { retry } from "./retry.ts";
import { pause, runCleanups, Stopped } from "./shutdown.ts";

t.test("the end of the daemon interrupts waiting, and comes before the next attempt", async (t) => {
  const controller = new AbortController();
  const waiting = pause(60_000, controller.signal);
  controller.abort(new Stopped());
  await t.rejects(waiting, Stopped);
  await t.rejects(pause(0, controller.signal), Stopped);
  await t.rejects(
    retry(async () => t.fail("no attempt"), {
      everyMs: 1,
      stop: controller.signal,
      isTemporary: () => true,
      failed() {},
    }),
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
