import t from "tap";
import { debounce } from "./debounce.ts";

t.test("many events are one piece of work", async (t) => {
  let done = 0;
  await new Promise<void>((resolve) => {
    const work = debounce(
      () => {
        done++;
        resolve();
      },
      { quietMs: 5, latestMs: 1000 },
    );
    for (let i = 0; i < 100; i++) work.ask();
  });
  t.equal(done, 1);
});

t.test("events that never go quiet do not keep it from being done", async (t) => {
  let asked = 0;
  await new Promise<void>((resolve) => {
    const work = debounce(
      () => {
        clearInterval(events);
        resolve();
      },
      { quietMs: 60_000, latestMs: 30 },
    );
    const events = setInterval(() => {
      asked++;
      work.ask();
    }, 1);
  });
  t.ok(asked > 1, `${asked} events`);
});

t.test("what is stopped is not done", async (t) => {
  const work = debounce(() => t.fail("it was stopped"), { quietMs: 0, latestMs: 0 });
  work.ask();
  work.stop();
  await new Promise((resolve) => setTimeout(resolve, 5));
});
