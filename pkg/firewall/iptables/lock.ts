import { isErrno } from "../../sys/errno.ts";
import { makeDirectories, withLock } from "../../sys/file.ts";

/** The directory of a lock that only twill uses: the kernel reports changes by others, and legacy iptables has its own lock. */
const DIRECTORY = "/run/twill";
const LOCK = `${DIRECTORY}/iptables.lock`;
const TIMEOUT_MS = 5000;

/** Whether this process has the lock: flock(2) would make it wait for itself. */
let isHeld = false;

/**
 * Runs `work` while no other plugin of twill reads and changes shared chains: without the lock, half of the attempts would be
 * refused when many run at once. The lock is only an optimization: when it cannot be taken, `work` runs without it.
 */
export function locked<T>(work: () => T): T {
  if (isHeld) return work();
  const makeDirectory = () => makeDirectories(DIRECTORY, 0o755);
  try {
    return withLock(LOCK, { mode: 0o600, timeoutMs: TIMEOUT_MS, makeDirectory }, () => {
      isHeld = true;
      return work();
    });
  } catch (error) {
    if (isHeld || !isErrno(error, "EROFS", "EACCES", "EPERM", "EAGAIN", "ENOENT", "ENOTDIR")) throw error;
    return work();
  } finally {
    isHeld = false;
  }
}
