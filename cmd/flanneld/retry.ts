/** Retries what fails for a time, such as a write to a full disk. */
import { pause } from "./shutdown.ts";

export interface RetryPolicy {
  everyMs: number;
  stop: AbortSignal;
  /** Reports whether trying again may help; other errors are thrown. */
  isTemporary(error: unknown): boolean;
  /** Called for each failure; mostly with the same error repeatedly. */
  failed(error: Error): void;
}

/** Tries until it works. @throws Stopped; errors that are not temporary */
export async function retry<T>(
  work: () => Promise<T>,
  { everyMs, stop, isTemporary, failed }: RetryPolicy,
): Promise<T> {
  for (;;) {
    stop.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Error) || !isTemporary(error)) throw error;
      failed(error);
    }
    await pause(everyMs, stop);
  }
}
