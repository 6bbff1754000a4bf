/** A clock that tests advance. */
import type { Clock } from "./clock.ts";

export class FakeClock implements Clock {
  private wall = Date.parse("2026-01-01T00:00:00Z");
  private boot = 1000;
  private ran = 0;
  private timers: { at: number; work: () => void }[] = [];

  wallMs(): number {
    return this.wall;
  }

  bootMs(): number {
    return this.boot;
  }

  after(ms: number, work: () => void): () => void {
    const timer = { at: this.ran + ms, work };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((one) => one !== timer);
    };
  }

  /** Advances all clocks; due timers run one after the other, each with the promises that it started. */
  async pass(ms: number): Promise<void> {
    const end = this.ran + ms;
    await flushPromises();
    for (let next = this.next(end); next; next = this.next(end)) {
      this.timers = this.timers.filter((one) => one !== next);
      this.advance(next.at - this.ran);
      next.work();
      await flushPromises();
    }
    this.advance(end - this.ran);
  }

  /** Advances wall and boot clock, as during a suspension: no timer advances. */
  suspend(ms: number): void {
    this.wall += ms;
    this.boot += ms;
  }

  /** Sets the wall clock, as an administrator does. */
  setWall(byMs: number): void {
    this.wall += byMs;
  }

  private advance(ms: number): void {
    this.ran += ms;
    this.wall += ms;
    this.boot += ms;
  }

  private next(end: number): { at: number; work: () => void } | undefined {
    const [first] = this.timers.toSorted((one, other) => one.at - other.at);
    return first && first.at <= end ? first : undefined;
  }
}

/** Waits until pending promises have progressed as far as they can. */
export async function flushPromises(): Promise<void> {
  for (let times = 0; times < 3; times++) await new Promise((resolve) => setImmediate(resolve));
}
