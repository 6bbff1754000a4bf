import t from "tap";
import { newPace, type Pace } from "./pace.ts";

/** Somebody changes the rules at once after each repair: when the repairs take place. */
function fought(pace: Pace, repairs: number): number[] {
  const times: number[] = [];
  let now = 0;
  for (let i = 0; i < repairs; i++) {
    now += pace.waitMs(now);
    pace.looked(now, { repaired: true });
    times.push(now);
  }
  return times;
}

t.test("after a change all is quiet for 100 ms before one looks", async (t) => {
  const pace = newPace({ longestMs: 5000 });
  t.equal(pace.waitMs(1000), 100);
  t.equal(pace.waitMs(1050), 100, "it changes on");
});

t.test("one looks after a second, however long it changes on", async (t) => {
  const pace = newPace({ longestMs: 5000 });
  pace.waitMs(1000);
  t.equal(pace.waitMs(1950), 50);
  t.equal(pace.waitMs(2100), 0);
  pace.looked(2100, { repaired: false });
  t.equal(pace.waitMs(2200), 100, "and begins anew");
});

t.test("whoever undoes repairs again and again waits longer and longer for the next", async (t) => {
  const times = fought(newPace({ longestMs: 5000 }), 10);
  const apart = times.map((time, i) => time - (times[i - 1] ?? 0));
  t.strictSame(apart, [100, 100, 100, 100, 100, 1000, 2000, 4000, 5000, 5000]);
});

t.test("a fight is told once, and again when there was peace between", async (t) => {
  const pace = newPace({ longestMs: 5000 });
  fought(pace, 4);
  t.notOk(pace.becameFight());
  fought(pace, 1);
  t.ok(pace.becameFight());
  fought(pace, 1);
  t.notOk(pace.becameFight());
  pace.looked(200_000, { repaired: false });
  t.equal(pace.waitMs(200_000), 100);
  fought(pace, 5);
  t.ok(pace.becameFight());
});
