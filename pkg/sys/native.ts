/** What an argument of a system call may be: a number as it is, a text as a NUL-terminated copy, bytes as their own memory. */
export type SyscallArgument = number | bigint | string | Uint8Array;

/**
 * The primitives that a script lacks. Two implementations, `native-quickjs.ts` and `node.ts`, chosen as `#native` when the program
 * is bundled; all else in this folder is written once on top of them.
 */
export interface Native {
  /** Numbers of system calls and a few flags differ between architectures. */
  readonly arch: "x64" | "arm64";
  /** The kernel's result, or -errno: a refusal is an answer here. At most six arguments. */
  syscall(number: number, ...args: SyscallArgument[]): number;
  /** Where bytes lie, for structures that hold pointers. Valid while `bytes` lives. */
  address(bytes: Uint8Array): number;
  /** UTF-8. */
  encode(text: string): Uint8Array;
  decode(bytes: Uint8Array, from?: number, to?: number): string;
  /** Starts a program with three descriptors as its 0, 1, 2: its process ID or -errno. */
  spawn(path: string, args: string[], environment: string[], descriptors: [number, number, number]): number;
  /** Frees values that refer to each other and to which nothing else does: QuickJS does so only when it is told. */
  collect(): void;
  /** What this process was started with, its own name first. */
  args(): string[];
  /** `NAME=value` each. */
  environment(): string[];
}
