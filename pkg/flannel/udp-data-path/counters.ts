/** Counters in memory that threads share. Each is written by one thread only, and 64 bits are written at once: no locks. */
import { type CounterName, type Counters, counterNames } from "./protocol.ts";

/** Adds to one counter. */
export type Count = (name: CounterName, more: number) => void;

const COUNTER_BYTES = 8;

export const createCounterMemory = (): SharedArrayBuffer => new SharedArrayBuffer(COUNTER_BYTES * counterNames.length);

export function counterOf(memory: SharedArrayBuffer): Count {
  const counters = new Float64Array(memory);
  const indexes: Record<string, number> = Object.fromEntries(counterNames.map((name, i) => [name, i]));
  return (name, more) => {
    const i = indexes[name] ?? 0;
    counters[i] = (counters[i] ?? 0) + more;
  };
}

/** Adds up what several threads have counted. */
export function readCounters(memories: readonly SharedArrayBuffer[]): Counters {
  const all = memories.map((memory) => new Float64Array(memory));
  return Object.fromEntries(
    counterNames.map((name, i) => [name, all.reduce((sum, counters) => sum + (counters[i] ?? 0), 0)]),
  ) as Counters;
}
