import { findKernelText } from "./file.ts";

/** Returns the kernel's random ID of this boot; "" where there is none. */
export const bootId = (): string => findKernelText("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
