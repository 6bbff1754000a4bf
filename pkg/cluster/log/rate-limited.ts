/** Limits repeated messages: each distinct event is logged once, then at growing intervals, with how long it has lasted. */
import { type Fields, type Level, type Log, logOf } from "./log.ts";

/** @param nowMs A monotonic clock, in milliseconds. */
export function rateLimited(log: Log, nowMs: () => number = () => performance.now()): Log {
  const known = new Map<string, Course>();
  return logOf((level, message, fields) => {
    const now = nowMs();
    forgetQuiet(known, now);
    const text = wordsAfter(known, keyOf(level, message, fields), now);
    if (text !== undefined) log[level](`${message}${text}`, fields);
  });
}

/** The course of one repeated event, in milliseconds of `nowMs`. */
interface Course {
  firstMs: number;
  lastMs: number;
  /** When it is logged again. */
  nextMs: number;
}

/** An event that has not occurred for this long is forgotten; its next occurrence is logged as a new one. */
const QUIET_MS = 60_000;
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 3_600_000;

const keyOf = (level: Level, message: string, fields: Fields): string => JSON.stringify([level, message, fields]);

/** @returns text to append to the message; undefined: it is not logged now */
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
  return ` (repeated for ${Math.round(lastedMs / 1000)} s)`;
}

function forgetQuiet(known: Map<string, Course>, now: number): void {
  for (const [key, { lastMs }] of known) if (now - lastMs > QUIET_MS) known.delete(key);
}
