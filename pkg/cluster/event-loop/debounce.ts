/** Runs work once after a burst of events has ended, and not later than a limit while they continue. Node only. */
export interface Debounced {
  /** Requests the work. */
  ask(): void;
  stop(): void;
}

export function debounce(work: () => void, { quietMs, latestMs }: { quietMs: number; latestMs: number }): Debounced {
  let timer: NodeJS.Timeout | undefined;
  let firstAskedMs = 0;
  const run = () => {
    timer = undefined;
    work();
  };
  return {
    ask() {
      const nowMs = performance.now();
      if (timer === undefined) firstAskedMs = nowMs;
      clearTimeout(timer);
      timer = setTimeout(run, Math.min(quietMs, Math.max(0, firstAskedMs + latestMs - nowMs)));
    },
    stop: () => clearTimeout(timer),
  };
}
