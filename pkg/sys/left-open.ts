/** Descriptors that a call of a plugin leaves open, since its own process ends soon: where many calls are made in one process, they would use up its limit. */
import { ask } from "./syscall.ts";

let open: Set<number> | undefined;

/** Takes note of a descriptor that was opened. @returns it */
export function noteOpened(fd: number): number {
  open?.add(fd);
  return fd;
}

export function noteClosed(fd: number): void {
  open?.delete(fd);
}

/** Runs `work`, whose descriptors stay open: several calls share them. */
export function keepingOpen<T>(work: () => T): T {
  const outer = open;
  open = undefined;
  try {
    return work();
  } finally {
    open = outer;
  }
}

/** Runs `work`, then closes the files and sockets that it has left open, but for those of `keepingOpen`. Nothing else that it opens may be used afterwards. */
export function closingAll<T>(work: () => T): T {
  const outer = open;
  const own = new Set<number>();
  open = own;
  try {
    return work();
  } finally {
    open = outer;
    for (const fd of own) ask("close", fd);
  }
}
