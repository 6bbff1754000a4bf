/** Work that many events ask for, done once when they have gone quiet, and no later than a limit although they go on. Node only. */
export interface Debounced {
  /** There is something to do. */
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
