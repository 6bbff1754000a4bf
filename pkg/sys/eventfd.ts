/** An eventfd, by which one thread wakes another that waits in poll(2). */
import { ask, call } from "./syscall.ts";

/** linux/eventfd.h */
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const VALUE_BYTES = 8;

export const createAlarm = (): number => call("eventfd2", undefined, 0, EFD_NONBLOCK | EFD_CLOEXEC);

export function ring(alarm: number): void {
  call("write", undefined, alarm, new Uint8Array(new BigUint64Array([1n]).buffer), VALUE_BYTES);
}

/** Makes it unreadable, until it is rung again. */
export function takeAlarm(alarm: number): void {
  ask("read", alarm, new Uint8Array(VALUE_BYTES), VALUE_BYTES);
}
