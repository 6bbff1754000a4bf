import t from "tap";
import { ReconcileDebounce } from "./reconcile-debounce.ts";

const options = { debounce: { quietMs: 100, latestMs: 1000 }, longestPauseMs: 5000, longestRetryMs: 30_000 };

/** Another program changes things at once after each repair: the times of the repairs, and how often that was reported. */
function fought(schedule: ReconcileDebounce, repairs: number, fromMs = 0): { times: number[]; reports: number } {
  const times: number[] = [];
  let reports = 0;
  let nowMs = fromMs;
  for (let i = 0; i < repairs; i++) {
    schedule.ask(nowMs);
    nowMs += schedule.waitMs(nowMs) ?? Number.NaN;
    schedule.begin();
    if (schedule.end(nowMs, { repaired: 1 })) reports++;
    times.push(nowMs);
  }
  return { times, reports };
}

const differences = (times: readonly number[]): number[] => times.map((time, i) => time - (times[i - 1] ?? 0));

t.test("a pass follows a change when there was no other for 100 ms", async (t) => {
  const schedule = new ReconcileDebounce(options, 0);
  t.equal(schedule.waitMs(1000), undefined, "nothing asked for one");
  schedule.ask(1000);
  t.equal(schedule.waitMs(1000), 100);
  schedule.ask(1050);
  t.equal(schedule.waitMs(1050), 100, "the burst continues");
});

t.test("a burst that does not end delays a pass by a second", async (t) => {
  const schedule = new ReconcileDebounce(options, 0);
  schedule.ask(1000);
  schedule.ask(1950);
  t.equal(schedule.waitMs(1950), 50);
  t.equal(schedule.waitMs(2100), 0);
  schedule.begin();
  schedule.end(2100, { repaired: 0 });
  t.equal(schedule.waitMs(2100), undefined);
  schedule.ask(2200);
  t.equal(schedule.waitMs(2200), 100, "the next burst");
});

t.test("a change during a pass asks for another one", async (t) => {
  const schedule = new ReconcileDebounce(options, 0);
  schedule.askNow(0);
  t.equal(schedule.waitMs(0), 0);
  schedule.begin();
  schedule.ask(10);
  schedule.end(20, { repaired: 0 });
  t.equal(schedule.waitMs(20), 90);
});

t.test("without changes a pass comes a resync interval after the last one", async (t) => {
  const schedule = new ReconcileDebounce({ ...options, resyncMs: 5000 }, 0);
  t.equal(schedule.waitMs(1000), 4000);
  schedule.begin();
  schedule.end(5000, { repaired: 0 });
  t.equal(schedule.waitMs(5000), 5000);
});

t.test("failures are tried again at growing intervals, until one succeeds", async (t) => {
  const schedule = new ReconcileDebounce({ ...options, longestRetryMs: 5000 }, 0);
  const waits: (number | undefined)[] = [];
  for (const isIncomplete of [true, true, true, true, true, false, true]) {
    schedule.begin();
    schedule.end(0, { repaired: 0, isIncomplete });
    waits.push(schedule.waitMs(0));
  }
  t.strictSame(waits, [1000, 2000, 4000, 5000, 5000, undefined, 1000]);
});

t.test("what fails again before it is tried again delays it no further", async (t) => {
  const schedule = new ReconcileDebounce(options, 0);
  schedule.retry(0);
  schedule.retry(900);
  t.equal(schedule.waitMs(900), 100);
});

t.test("repairs that are undone again and again are made at growing intervals", async (t) => {
  const { times } = fought(new ReconcileDebounce(options, 0), 10);
  t.strictSame(differences(times), [100, 100, 100, 100, 100, 1000, 2000, 4000, 5000, 5000]);
});

t.test("the intervals grow beyond the time for which repairs are counted", async (t) => {
  const { times } = fought(new ReconcileDebounce({ ...options, longestPauseMs: 600_000 }, 0), 16);
  t.strictSame(differences(times).slice(-3), [256_000, 512_000, 600_000]);
});

t.test("repairs that are undone are reported once, and again after a time without", async (t) => {
  const schedule = new ReconcileDebounce(options, 0);
  t.equal(fought(schedule, 4).reports, 0);
  t.equal(fought(schedule, 1, 1000).reports, 1);
  t.equal(fought(schedule, 3, 2000).reports, 0);
  schedule.begin();
  schedule.end(200_000, { repaired: 0 });
  const { times, reports } = fought(schedule, 5, 200_000);
  t.equal(times[0], 200_100, "without a pause");
  t.equal(reports, 1);
});

t.test("five repairs in more than a minute are no fight", async (t) => {
  const schedule = new ReconcileDebounce(options, 0);
  for (let nowMs = 0; nowMs < 600_000; nowMs += 20_000) t.equal(fought(schedule, 1, nowMs).reports, 0);
});
