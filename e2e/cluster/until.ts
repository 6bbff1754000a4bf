// Waiting for what the world does by itself: asked again and again, with a deadline only as the failure.
import { setTimeout } from "node:timers/promises";

const BETWEEN_LOOKS_MS = 20;
/** Much longer than anything takes, also where ten programs want each processor. */
const LONGEST_WAIT_MS = 180_000;

/**
 * @param what Completes "waited 20 s for …".
 * @param look Gives the value that was waited for, until then undefined or false. One that throws is asked again.
 * @throws Error when the deadline passes, with what `look` threw last
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = LONGEST_WAIT_MS,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const seen = await attempt(look);
    if (seen.value !== undefined && seen.value !== false) return seen.value;
    if (performance.now() > deadline)
      throw new Error(`waited ${deadlineMs / 1000} s for ${what}`, { cause: seen.error });
    await setTimeout(BETWEEN_LOOKS_MS);
  }
}

async function attempt<T>(look: () => T | Promise<T>): Promise<{ value?: T; error?: unknown }> {
  try {
    return { value: await look() };
  } catch (error) {
    return { error };
  }
}
