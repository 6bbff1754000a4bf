import { createHash } from "node:crypto";
import koffi from "koffi";
import { Errno } from "./errno.ts";
import type { Native, SyscallArgument } from "./native.ts";

const libc = koffi.load("libc.so.6");
const syscall = libc.func("long syscall(long, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t)");
const actionsInit = libc.func("int posix_spawn_file_actions_init(void *actions)");
const actionsDup2 = libc.func("int posix_spawn_file_actions_adddup2(void *actions, int from, int to)");
const posixSpawn = libc.func(
  "int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, void *args, void *environment)",
);
/** sizeof(posix_spawn_file_actions_t), 80 in glibc on both architectures. */
const ACTIONS_SIZE = 80;

/**
 * Keeps memory alive that the kernel uses during a call. V8 considers a local variable unused once its address is taken, and its
 * garbage collector would free the memory before the kernel writes there (ppoll does, to its timeout).
 */
const inUse: { memory: unknown } = { memory: undefined };

export const native: Native = {
  arch: process.arch === "arm64" ? "arm64" : "x64",
  syscall(number, ...args) {
    if (args.some((argument) => typeof argument === "string" && argument.includes("\0"))) return -Errno.EINVAL;
    const kept: Uint8Array[] = [];
    inUse.memory = [args, kept];
    const words = args.map((argument) => word(argument, kept));
    while (words.length < 6) words.push(0);
    const result = Number(syscall(number, ...words));
    inUse.memory = undefined;
    return result === -1 ? -koffi.errno() : result;
  },
  address: (bytes) => Number(koffi.address(bytes)),
  encode: (text) => new Uint8Array(Buffer.from(text)),
  encodeInto(bytes, at, text) {
    const rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(at);
    const size = Buffer.byteLength(text);
    if (at < 0 || at > bytes.length || size > rest.length)
      throw new RangeError(`encodeInto: ${size} bytes at ${at} of ${bytes.length}`);
    return at + rest.write(text);
  },
  sha512: (bytes) => new Uint8Array(createHash("sha512").update(bytes).digest()),
  find(bytes, wanted, from, to) {
    if (from < 0 || to > bytes.length || from > to)
      throw new RangeError(`find: ${from}..${to} outside of ${bytes.length} bytes`);
    const found = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).indexOf(wanted);
    return found < 0 ? -1 : from + found;
  },
  findAttributes(bytes, from, to, wanted) {
    if (from < 0 || to > bytes.length || from > to)
      throw new RangeError(`findAttributes: ${from}..${to} outside of ${bytes.length} bytes`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const found: number[] = [];
    for (let at = from; to - at >= 4; ) {
      const length = view.getUint16(at, true);
      const type = view.getUint16(at + 2, true) & 0x3fff; // NLA_TYPE_MASK
      const isBroken = length < 4 || at + length > to;
      if (isBroken || wanted[type]) found.push(at);
      if (isBroken) break;
      at = (at + length + 3) & ~3;
    }
    return found;
  },
  decode: (bytes, from = 0, to = bytes.length) => {
    if (from < 0 || to > bytes.length || from > to) {
      throw new RangeError(`decode: ${from}..${to} outside of ${bytes.length} bytes`);
    }
    return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString();
  },
  spawn(path, args, environment, descriptors) {
    const actions = Buffer.alloc(ACTIONS_SIZE);
    actionsInit(actions);
    descriptors.forEach((from, to) => {
      actionsDup2(actions, from, to);
    });
    const kept: Uint8Array[] = [];
    inUse.memory = kept;
    const pid = [0];
    const error = posixSpawn(pid, path, actions, null, vector(args, kept), vector(environment, kept));
    inUse.memory = undefined;
    return error === 0 ? (pid[0] ?? 0) : -error;
  },
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
  collect() {}, // V8 collects by itself
  args: () => process.argv.slice(1),
  environment: () => Object.entries(process.env).map(([name, value]) => `${name}=${value}`),
};

/** Converts an argument to a register's content. `kept` holds the memory that the kernel reads during the call. */
function word(argument: SyscallArgument | undefined, kept: Uint8Array[]): number | bigint {
  if (argument === undefined) return 0;
  if (typeof argument === "number" || typeof argument === "bigint") return argument;
  if (typeof argument === "string") {
    const text = Buffer.from(`${argument}\0`);
    kept.push(text);
    return koffi.address(text);
  }
  if (!(argument instanceof Uint8Array)) throw new TypeError("syscall argument is an object but not bytes");
  return argument.length === 0 ? 0 : koffi.address(argument);
}

/** Builds `char *const v[]`, ending with NULL. */
function vector(texts: string[], kept: Uint8Array[]): Buffer {
  const pointers = Buffer.alloc(8 * (texts.length + 1));
  texts.forEach((text, i) => {
    pointers.writeBigUInt64LE(BigInt(word(text, kept)), 8 * i);
  });
  kept.push(pointers);
  return pointers;
}
