import t from "tap";
import { NetlinkError } from "../../netlink/connection.ts";
import type { Nlmsg } from "../../netlink/nlmsg.ts";
import { FakeClock } from "./clock.testing.ts";
import type { NetlinkHandler } from "./netlink-watch.ts";
import type { PassResult } from "./reconcile-debounce.ts";
import { type ReconcileLoop, type ReconcileOptions, startReconcileLoop } from "./reconcile-loop.ts";

const nlmsg = (type: number): Nlmsg => ({ type, flags: 0, sequence: 0, port: 0, body: new Uint8Array() });
/** The type of a message that is relevant. */
const RELEVANT = 1;

interface Run {
  clock: FakeClock;
  loop: ReconcileLoop;
  /** The milliseconds at which passes began, and other things that happened. */
  seen: string[];
  kernel: NetlinkHandler;
}

function run(t: Tap, { reconcile, ...options }: Partial<ReconcileOptions> = {}): Run {
  const clock = new FakeClock();
  const seen: string[] = [];
  const startMs = clock.bootMs();
  const see = (what: string) => void seen.push(`${clock.bootMs() - startMs} ${what}`);
  let kernel: NetlinkHandler | undefined;
  const loop = startReconcileLoop({
    debounce: { quietMs: 100, latestMs: 1000 },
    longestPauseMs: 60_000,
    longestRetryMs: 30_000,
    watch(handler) {
      kernel = handler;
      return { read: () => see("read"), stop: () => see("stop") };
    },
    isRelevant: ({ type }) => type === RELEVANT,
    reconcile() {
      see("pass");
      return reconcile?.() ?? { repaired: 0 };
    },
    failed: (error) => see(`failed: ${(error as Error).message}`),
    undone: () => see("undone"),
    clock,
    ...options,
  });
  t.teardown(() => loop.stop());
  if (kernel === undefined) throw new Error("it watches nothing");
  return { clock, loop, seen, kernel };
}
type Tap = { teardown(work: () => unknown): unknown };

t.test("relevant messages lead to one pass when they end, others to none", async (t) => {
  const { clock, seen, kernel } = run(t);
  kernel.messages([nlmsg(7)]);
  await clock.pass(500);
  t.strictSame(seen, []);
  kernel.messages([nlmsg(7), nlmsg(RELEVANT)]);
  await clock.pass(50);
  kernel.messages([nlmsg(RELEVANT)]);
  await clock.pass(500);
  t.strictSame(seen, ["650 pass"]);
});

t.test("lost messages lead to a pass, and so does a kernel that cannot say what a message is about", async (t) => {
  const { clock, seen, kernel } = run(t, {
    isRelevant() {
      throw new NetlinkError("RTM_GETLINK", { errno: 11 });
    },
  });
  kernel.overflowed();
  await clock.pass(500);
  kernel.messages([nlmsg(RELEVANT)]);
  await clock.pass(500);
  t.strictSame(seen, ["100 pass", "600 pass"]);
});

t.test("passes come at intervals, after the last one", async (t) => {
  const { clock, seen, loop } = run(t, { resyncMs: 5000 });
  await clock.pass(5000);
  loop.askNow();
  await clock.pass(5000);
  t.strictSame(seen, ["5000 pass", "5000 pass", "10000 pass"]);
});

t.test("a pass that throws is tried again with backoff", async (t) => {
  const { clock, seen, loop } = run(t, {
    reconcile() {
      throw new Error("no");
    },
  });
  loop.askNow();
  await clock.pass(8000);
  t.strictSame(
    seen.filter((line) => line.endsWith("pass")),
    ["0 pass", "1000 pass", "3000 pass", "7000 pass"],
  );
  t.equal(seen[1], "0 failed: no");
});

t.test("another program that undoes each repair is reported once, and gets less and less to undo", async (t) => {
  let undo = () => {};
  const { clock, seen, loop } = run(t, {
    reconcile() {
      undo();
      return { repaired: 1 };
    },
  });
  undo = loop.ask;
  loop.ask();
  await clock.pass(3_600_000);
  t.equal(seen.filter((line) => line.endsWith("undone")).length, 1);
  const passes = seen.filter((line) => line.endsWith("pass")).length;
  t.ok(passes >= 60 && passes < 75, `${passes} passes in an hour, one a minute in the end`);
});

t.test("passes and other work take turns, in the order of requests", async (t) => {
  const clock = new FakeClock();
  const steps: string[] = [];
  const slow = (name: string) => async (): Promise<PassResult> => {
    steps.push(`${name} begins`);
    await new Promise<void>((done) => void clock.after(1000, done));
    steps.push(`${name} ends`);
    return { repaired: 0 };
  };
  const { loop } = run(t, { clock, reconcile: slow("pass") });
  loop.askNow();
  await clock.pass(10);
  const works = ["one", "two"].map((name) => loop.exclusive(async () => void (await slow(name)())));
  loop.ask();
  await clock.pass(10_000);
  await Promise.all(works);
  const turns = ["pass", "one", "two", "pass"];
  t.strictSame(
    steps,
    turns.flatMap((name) => [`${name} begins`, `${name} ends`]),
  );
});

t.test("notifications are read before and after other work, whatever comes of it", async (t) => {
  const { loop, seen } = run(t);
  await t.rejects(
    loop.exclusive(() => {
      seen.push("work");
      throw new Error("no");
    }),
    { message: "no" },
  );
  t.strictSame(seen, ["0 read", "work", "0 read"]);
});

t.test("after its end nothing runs, and what runs is waited for", async (t) => {
  const clock = new FakeClock();
  let ended = false;
  const { loop, seen, kernel } = run(t, { clock, resyncMs: 1000 });
  const work = loop.exclusive(async () => {
    await new Promise<void>((done) => void clock.after(500, done));
    ended = true;
  });
  await clock.pass(100);
  const later = loop.exclusive(() => void t.fail("it was stopped"));
  kernel.messages([nlmsg(RELEVANT)]);
  const stopped = loop.stop().then(() => t.ok(ended));
  await clock.pass(10_000);
  await Promise.all([work, later, stopped]);
  t.strictSame(
    seen.map((line) => line.replace(/^\d+ /, "")),
    ["read", "stop"],
  );
});

t.test("each pass is measured", async (t) => {
  const results: (() => PassResult)[] = [
    () => ({ repaired: 0 }),
    () => ({ repaired: 2 }),
    () => ({ repaired: 0, isIncomplete: true }),
    () => {
      throw new Error("no");
    },
  ];
  const outcomes: string[] = [];
  const { clock, loop } = run(t, {
    reconcile: () => (results.shift() ?? (() => ({ repaired: 0 })))(),
    passed: (outcome) => void outcomes.push(outcome),
  });
  for (let i = 0; i < 4; i++) {
    loop.askNow();
    await clock.pass(1);
  }
  t.strictSame(outcomes, ["unchanged", "repaired", "failed", "failed"]);
});
