import { call } from "./syscall.ts";

/**
 * Returns random bytes of the kernel, at most 256. The engine's own Math.random would repeat itself, since the program starts from
 * an image.
 */
export function randomBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  call("getrandom", undefined, bytes, count, 0);
  return bytes;
}

/** Returns `count` random bytes as hexadecimal digits. */
export const randomHex = (count: number): string =>
  Array.from(randomBytes(count), (byte) => byte.toString(16).padStart(2, "0")).join("");
