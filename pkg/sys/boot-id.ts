import { findKernelText } from "./file.ts";

let known: string | undefined;

/** Returns the kernel's random ID of this boot; "" where there is none. Read once: no process outlives its boot. */
export function bootId(): string {
  known ??= findKernelText("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  return known;
}
