/**
 * Keeps something in the kernel as it should be. A pass compares what should be with what is, and corrects the difference; it runs soon
 * after the kernel has reported a relevant change, at intervals in case a report was lost, and again with backoff after a failure. If
 * another program undoes each repair, the pauses grow. Node only.
 */

import { NetlinkError } from "../../netlink/connection.ts";
import type { Nlmsg } from "../../netlink/nlmsg.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { NetlinkHandler, Watching } from "./netlink-watch.ts";
import { type PassResult, ReconcileDebounce, type ScheduleOptions } from "./reconcile-debounce.ts";

export type PassOutcome = "unchanged" | "repaired" | "failed";

export interface ReconcileOptions extends ScheduleOptions {
  /** Runs one pass. An error means that it is tried again. */
  reconcile(): PassResult | Promise<PassResult>;
  /** Starts the watch for changes, as with `watchNetlink`. */
  watch(handler: NetlinkHandler): Watching;
  /** Reports whether a netlink message may mean that a pass has something to do. A NetlinkError counts as yes. */
  isRelevant(message: Nlmsg): boolean;
  /** Called with the error of a pass. */
  failed(error: unknown): void;
  /** Called once per series when another program keeps undoing repairs. */
  undone?(): void;
  /** Called after each pass, for metrics. */
  passed?(outcome: PassOutcome, seconds: number): void;
  clock?: Clock;
}

export interface ReconcileLoop {
  /** Requests a pass when the burst of changes has ended. */
  ask(): void;
  /** Requests a pass at once. */
  askNow(): void;
  /** Requests a pass after a pause, which is longer after more failures. */
  retry(): void;
  /**
   * Runs other work that changes what is watched, when no pass and no other work is running. Notifications are read before and after it:
   * later, after more changes, our own would look like another program's.
   *
   * @returns rejects with the error of the work; resolves without running it if the loop has been stopped
   */
  exclusive(work: () => void | Promise<void>): Promise<void>;
  /** Stops it; resolves when a running pass or work has ended. */
  stop(): Promise<void>;
}

export function startReconcileLoop(options: ReconcileOptions): ReconcileLoop {
  const { clock = systemClock } = options;
  const schedule = new ReconcileDebounce(options, clock.bootMs());
  let cancelTimer = () => {};
  let isPassDue = false;
  let isStopped = false;
  /** Settles when all passes and work that were requested so far have ended. */
  let idle: Promise<void> = Promise.resolve();

  function setTimer(): void {
    cancelTimer();
    const waitMs = isPassDue || isStopped ? undefined : schedule.waitMs(clock.bootMs());
    if (waitMs !== undefined) cancelTimer = clock.after(waitMs, passInTurn);
  }

  function passInTurn(): void {
    isPassDue = true;
    void inTurn(pass).then(() => {
      isPassDue = false;
      setTimer();
    });
  }

  function inTurn(work: () => Promise<void>): Promise<void> {
    const done = idle.then(() => (isStopped ? undefined : work()));
    idle = done.catch(() => {});
    return done;
  }

  async function pass(): Promise<void> {
    const startedMs = clock.bootMs();
    schedule.begin();
    const { outcome, ...result } = await attempt(options);
    if (schedule.end(clock.bootMs(), result)) options.undone?.();
    options.passed?.(outcome, (clock.bootMs() - startedMs) / 1000);
  }

  const record = (change: (nowMs: number) => void) => () => {
    change(clock.bootMs());
    setTimer();
  };
  const ask = record((nowMs) => schedule.ask(nowMs));

  const watching = options.watch({
    messages: (nlmsgs) => {
      if (nlmsgs.some((nlmsg) => isRelevant(options, nlmsg))) ask();
    },
    overflowed: ask,
  });
  setTimer();

  return {
    ask,
    askNow: record((nowMs) => schedule.askNow(nowMs)),
    retry: record((nowMs) => schedule.retry(nowMs)),
    exclusive: (work) =>
      inTurn(async () => {
        watching.read();
        try {
          await work();
        } finally {
          if (!isStopped) watching.read();
        }
      }),
    stop() {
      isStopped = true;
      cancelTimer();
      watching.stop();
      return idle;
    },
  };
}

async function attempt({ reconcile, failed }: ReconcileOptions): Promise<PassResult & { outcome: PassOutcome }> {
  try {
    const result = await reconcile();
    return { ...result, outcome: result.repaired > 0 ? "repaired" : result.isIncomplete ? "failed" : "unchanged" };
  } catch (error) {
    failed(error);
    return { repaired: 0, isIncomplete: true, outcome: "failed" };
  }
}

function isRelevant(options: ReconcileOptions, nlmsg: Nlmsg): boolean {
  try {
    return options.isRelevant(nlmsg);
  } catch (error) {
    if (error instanceof NetlinkError) return true; // too much is changing for the kernel to answer
    throw error;
  }
}
