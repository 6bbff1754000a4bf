/** An argument of a system call: a number as it is, a text as a NUL-terminated copy, bytes as the memory itself. */
export type SyscallArgument = number | bigint | string | Uint8Array;

/**
 * The primitives that a script lacks. Two implementations, `native-quickjs.ts` and `native-node.ts`, chosen as `#native` when the program
 * is bundled; all else in this folder is written once on top of them.
 */
export interface Native {
  /** Numbers of system calls and a few flags depend on it. */
  readonly arch: "x64" | "arm64";
  /**
   * Returns the kernel's result, or -errno: an error is a result here. At most six arguments. A text with a NUL, which the kernel would
   * silently cut there, is -EINVAL.
   */
  syscall(number: number, ...args: (SyscallArgument | undefined)[]): number;
  /** Returns the address of bytes, for structures that contain pointers. Valid while `bytes` exists. */
  address(bytes: Uint8Array): number;
  /** Encodes as UTF-8. */
  encode(text: string): Uint8Array;
  /** Encodes as UTF-8 into `bytes`, from `at`. Returns the end. @throws RangeError there is not enough room. */
  encodeInto(bytes: Uint8Array, at: number, text: string): number;
  decode(bytes: Uint8Array, from?: number, to?: number): string;
  sha512(bytes: Uint8Array): Uint8Array;
  /** Returns where in `from..to` the wanted bytes begin for the first time, or -1. @throws RangeError `from..to` is out of bounds. */
  find(bytes: Uint8Array, wanted: Uint8Array, from: number, to: number): number;
  /**
   * Finds the netlink attributes in `from..to` whose types are wanted: `wanted[type]` is not 0. Returns where they begin, in their order. One
   * whose length cannot be right is the last. @throws RangeError `from..to` is out of bounds.
   */
  findAttributes(bytes: Uint8Array, from: number, to: number, wanted: Uint8Array): number[];
  /** Starts a program with three descriptors as its 0, 1, 2. Returns its process ID or -errno. */
  spawn(path: string, args: string[], environment: string[], descriptors: [number, number, number]): number;
  /** Returns milliseconds, with fractions, of CLOCK_MONOTONIC, without entering the kernel where it has a vDSO. */
  monotonicMs(): number;
  /** Frees values that are in reference cycles only: QuickJS does so only when asked. */
  collect(): void;
  /** Returns the arguments of this process, its own name first. */
  args(): string[];
  /** Returns the variables, each as `NAME=value`. */
  environment(): string[];
}
