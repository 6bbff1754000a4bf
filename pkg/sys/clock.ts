import { native } from "#native";
import { ask } from "./syscall.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;

/** Returns milliseconds, with fractions, since an unspecified moment; never goes back. */
export const monotonicMs = native.monotonicMs;

/** Like `monotonicMs`, but includes the time while the machine is suspended. */
export const bootMs = (): number => read(CLOCK_BOOTTIME);

/** Returns milliseconds, with fractions, since 1970; the administrator may set this clock. */
export const nowMs = (): number => read(CLOCK_REALTIME);

export function sleepMs(ms: number): void {
  ask("clock_nanosleep", CLOCK_MONOTONIC, 0, timespec(ms), 0);
}

/** struct timespec: seconds and nanoseconds, 64 bits each. */
export function timespec(ms: number): Uint8Array {
  const time = new DataView(new ArrayBuffer(16));
  time.setBigInt64(0, BigInt(Math.floor(ms / 1000)), true);
  time.setBigInt64(8, BigInt(Math.floor((ms % 1000) * 1e6)), true);
  return new Uint8Array(time.buffer);
}

function read(clock: number): number {
  const time = new DataView(new ArrayBuffer(16));
  ask("clock_gettime", clock, new Uint8Array(time.buffer));
  return Number(time.getBigInt64(0, true)) * 1000 + time.getUint32(8, true) / 1e6;
}
