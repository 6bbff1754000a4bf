/** asm-generic/errno-base.h and errno.h: the errors that our code distinguishes or a user may see. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EBADFD: 77,
  ENOTSOCK: 88,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
  ESTALE: 116,
  EUCLEAN: 117,
  EDQUOT: 122,
  ERESTART: 85,
  EUSERS: 87,
} as const;

export type ErrnoName = keyof typeof Errno;

const NAMES = new Map<number, string>(Object.entries(Errno).map(([name, number]) => [number, name]));

/** Returns the name, as `ENOENT` for 2; `errno` and the number when it is not in the table. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** A system call failed. `message` reads "openat /x: ENOENT"; callers explain what it means for a user. */
export class SystemError extends Error {
  readonly call: string;
  readonly errno: number;
  readonly code: string;
  /** The object of the call, often a path. */
  readonly object: string | undefined;

  constructor(call: string, errno: number, object?: string) {
    super(`${call}${object === undefined ? "" : ` ${object}`}: ${errnoName(errno)}`);
    this.name = "SystemError";
    this.call = call;
    this.errno = errno;
    this.code = errnoName(errno);
    this.object = object;
  }
}

/** Whether the error has one of these error numbers. Works on anything with an `errno`, such as a NetlinkError. */
export function isErrno(error: unknown, ...names: ErrnoName[]): boolean {
  if (!(error instanceof Error) || !("errno" in error)) return false;
  return names.some((name) => Errno[name] === error.errno);
}
