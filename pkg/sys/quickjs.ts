import type { Door } from "./door.ts";

/** The C host's global object, see native/host.c. */
declare const host: Omit<Door, "args" | "environment"> & { args: string[]; environ: string[]; start: () => number };

export const door: Door = {
  arch: host.arch,
  syscall: host.syscall,
  address: host.address,
  encode: host.encode,
  decode: host.decode,
  spawn: host.spawn,
  collect: host.collect,
  args: () => host.args,
  environment: () => host.environ,
};
