/** Kernel modules, as modprobe loads them. */
import { SystemError } from "./errno.ts";
import { findStat } from "./file.ts";
import { environment, run } from "./process.ts";
import { decode } from "./text.ts";

/** Loads a kernel module. @returns why it failed; undefined: it is loaded */
export function loadModule(name: string): string | undefined {
  const modprobe = ["/usr/sbin/modprobe", "/sbin/modprobe"].find((path) => findStat(path) !== undefined);
  if (modprobe === undefined) return "modprobe is not installed";
  try {
    const { status, stdout } = run({
      path: modprobe,
      args: [name],
      environment: environment(),
      stdin: new Uint8Array(),
      takesStderr: true,
    });
    return status === 0 ? undefined : `${decode(stdout).trim() || `modprobe exited with status ${status}`}`;
  } catch (error) {
    if (error instanceof SystemError) return error.message;
    throw error;
  }
}
