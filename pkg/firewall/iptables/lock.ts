import { isErrno } from "../../sys/errno.ts";
import { makeDirectories, withLock } from "../../sys/file.ts";

/** Ours alone: the kernel tells us when others changed the ruleset, and legacy iptables locks by itself. */
const DIRECTORY = "/run/twill";
const LOCK = `${DIRECTORY}/iptables.lock`;
const TIMEOUT_MS = 5000;

/**
 * Runs `work` while no other plugin of ours reads and changes shared chains: with many at once, half of the attempts would
 * be refused otherwise. It is no more than that, so that a lock which cannot be had is done without.
 */
export function locked<T>(work: () => T): T {
  let working = false;
  try {
    makeDirectories(DIRECTORY, 0o755);
    return withLock(LOCK, { mode: 0o600, timeoutMs: TIMEOUT_MS }, () => {
      working = true;
      return work();
    });
  } catch (error) {
    if (working || !isErrno(error, "EROFS", "EACCES", "EPERM", "EAGAIN", "ENOENT", "ENOTDIR")) throw error;
    return work();
  }
}
