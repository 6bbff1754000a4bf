import { native } from "#native";
import { Errno, SystemError } from "./errno.ts";
import type { SyscallArgument } from "./native.ts";

/** asm/unistd_64.h and asm-generic/unistd.h. Only calls that both architectures have (`openat`, never `open`). */
const NUMBERS = {
  //                  x64  arm64
  accept4: /*      */ [288, 242],
  bind: /*         */ [49, 200],
  chdir: /*        */ [80, 49],
  clock_gettime: /**/ [228, 113],
  clock_nanosleep: [230, 115],
  clone: /*        */ [56, 220],
  close: /*        */ [3, 57],
  connect: /*      */ [42, 203],
  dup3: /*         */ [292, 24],
  epoll_create1: /**/ [291, 20],
  epoll_ctl: /*    */ [233, 21],
  epoll_pwait: /*  */ [281, 22],
  eventfd2: /*     */ [290, 19],
  execve: /*       */ [59, 221],
  exit_group: /*   */ [231, 94],
  fchmod: /*       */ [91, 52],
  faccessat: /*    */ [269, 48],
  fchmodat: /*     */ [268, 53],
  fchownat: /*     */ [260, 54],
  fcntl: /*        */ [72, 25],
  flock: /*        */ [73, 32],
  fsync: /*        */ [74, 82],
  ftruncate: /*    */ [77, 46],
  getdents64: /*   */ [217, 61],
  getpeername: /*  */ [52, 205],
  getpid: /*       */ [39, 172],
  getppid: /*      */ [110, 173],
  getrandom: /*    */ [318, 278],
  getsockname: /*  */ [51, 204],
  getsockopt: /*   */ [55, 209],
  inotify_add_watch: [254, 27],
  inotify_init1: /**/ [294, 26],
  ioctl: /*        */ [16, 29],
  kill: /*         */ [62, 129],
  linkat: /*       */ [265, 37],
  listen: /*       */ [50, 201],
  lseek: /*        */ [8, 62],
  memfd_create: [319, 279],
  mkdirat: /*      */ [258, 34],
  mount: /*        */ [165, 40],
  openat: /*       */ [257, 56],
  pidfd_getfd: /*  */ [438, 438],
  pidfd_open: /*   */ [434, 434],
  openat2: /*      */ [437, 437],
  pipe2: /*        */ [293, 59],
  ppoll: /*        */ [271, 73],
  pread64: /*      */ [17, 67],
  prctl: /*        */ [157, 167],
  prlimit64: /*    */ [302, 261],
  read: /*         */ [0, 63],
  readlinkat: /*   */ [267, 78],
  recvfrom: /*     */ [45, 207],
  recvmsg: /*      */ [47, 212],
  renameat2: /*    */ [316, 276],
  rt_sigprocmask: [14, 135],
  sendfile: /*     */ [40, 71],
  sendmsg: /*      */ [46, 211],
  sendto: /*       */ [44, 206],
  sethostname: /*  */ [170, 161],
  setns: /*        */ [308, 268],
  setsid: /*       */ [112, 157],
  setsockopt: /*   */ [54, 208],
  signalfd4: /*    */ [289, 74],
  socket: /*       */ [41, 198],
  statfs: /*       */ [137, 43],
  statx: /*        */ [332, 291],
  symlinkat: /*    */ [266, 36],
  umask: /*        */ [95, 166],
  unlinkat: /*     */ [263, 35],
  unshare: /*      */ [272, 97],
  utimensat: /*    */ [280, 88],
  wait4: /*        */ [61, 260],
  write: /*        */ [1, 64],
} as const satisfies Record<string, readonly [x64: number, arm64: number]>;

export type SyscallName = keyof typeof NUMBERS;

/** The numbers of this architecture. */
const numbers = Object.fromEntries(
  Object.entries(NUMBERS).map(([name, [x64, arm64]]) => [name, native.arch === "x64" ? x64 : arm64]),
) as Record<SyscallName, number>;

/**
 * Makes a system call and returns the result or -errno; a call that a signal interrupted is repeated. A text with a NUL is -EINVAL.
 *
 * Its arguments have names, and not a rest parameter, because an ADD makes a hundred calls and the interpreter took half as long for
 * making the array and spreading it as the kernel for the call.
 */
export function ask(
  name: SyscallName,
  a?: SyscallArgument,
  b?: SyscallArgument,
  c?: SyscallArgument,
  d?: SyscallArgument,
  e?: SyscallArgument,
  f?: SyscallArgument,
): number {
  for (;;) {
    const result = native.syscall(numbers[name], a, b, c, d, e, f);
    if (result !== INTERRUPTED) return result;
  }
}
const INTERRUPTED = -Errno.EINTR;

/** Makes a system call and returns the result. @throws SystemError; `object` is the object of the call, often a path. */
export function call(
  name: SyscallName,
  object: string | undefined,
  a?: SyscallArgument,
  b?: SyscallArgument,
  c?: SyscallArgument,
  d?: SyscallArgument,
  e?: SyscallArgument,
  f?: SyscallArgument,
): number {
  const result = ask(name, a, b, c, d, e, f);
  if (result < 0) throw new SystemError(name, -result, object);
  return result;
}
