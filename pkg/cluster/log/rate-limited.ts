/** For what goes wrong again and again: each distinct event is said once, then at growing distances, with how long it has lasted. */
import { type Fields, type Level, type Log, logOf } from "./log.ts";

/** @param nowMs Milliseconds, never going back. */
export function rateLimited(log: Log, nowMs: () => number = () => performance.now()): Log {
  const known = new Map<string, Course>();
  return logOf((level, message, fields) => {
    const now = nowMs();
    forgetQuiet(known, now);
    const text = wordsAfter(known, keyOf(level, message, fields), now);
    if (text !== undefined) log[level](`${message}${text}`, fields);
  });
}

/** All in milliseconds. */
interface Course {
  firstMs: number;
  lastMs: number;
  /** When it is said again. */
  nextMs: number;
}

/** It was over if it had not come up for this long: next time it is news. */
const QUIET_MS = 60_000;
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 3_600_000;

const keyOf = (level: Level, message: string, fields: Fields): string => JSON.stringify([level, message, fields]);

/** @returns What to say after the message; undefined: nothing is said */
function wordsAfter(known: Map<string, Course>, key: string, now: number): string | undefined {
  const course = known.get(key);
  if (!course) {
    known.set(key, { firstMs: now, lastMs: now, nextMs: now + FIRST_PAUSE_MS });
    return "";
  }
  course.lastMs = now;
  if (now < course.nextMs) return undefined;
  const lastedMs = now - course.firstMs;
  course.nextMs = now + Math.min(lastedMs, LONGEST_PAUSE_MS);
  return ` (still, after ${Math.round(lastedMs / 1000)} s)`;
}

function forgetQuiet(known: Map<string, Course>, now: number): void {
  for (const [key, { lastMs }] of known) if (now - lastMs > QUIET_MS) known.delete(key);
}
