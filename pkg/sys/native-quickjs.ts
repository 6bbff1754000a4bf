import type { Native } from "./native.ts";

/** The global object of the C host, see native/host.c. */
declare const host: Omit<Native, "args" | "environment"> & { args: string[]; environ: string[]; start: () => number };

export const native: Native = {
  arch: host.arch,
  syscall: host.syscall,
  address: host.address,
  encode: host.encode,
  encodeInto: host.encodeInto,
  decode: host.decode,
  sha512: host.sha512,
  find: host.find,
  findAttributes: host.findAttributes,
  spawn: host.spawn,
  monotonicMs: host.monotonicMs,
  collect: host.collect,
  args: () => host.args,
  environment: () => host.environ,
};
