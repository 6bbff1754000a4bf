/** The lock of a network namespace, for plugins that choose a free name or table in a container, or share objects on the host. */
import { CniError, ErrorCode } from "../cni/error.ts";
import { isErrno } from "../sys/errno.ts";
import { Open, openFile, withLockedFile } from "../sys/file.ts";
import type { Namespace } from "../sys/namespace.ts";

const TIMEOUT_MS = 10_000;

/**
 * Runs `work` while this process holds the namespace's lock: flock(2) on the namespace file itself, which is the same under any path, as
 * in the reference plugins.
 *
 * @throws CniError 11: another process held it for 10 s
 */
export function withLockedNamespace<T>({ path }: Pick<Namespace, "path">, work: () => T): T {
  try {
    return withLockedFile(openFile(path, Open.readOnly), path, TIMEOUT_MS, work);
  } catch (error) {
    if (!isErrno(error, "EAGAIN")) throw error;
    throw new CniError({
      code: ErrorCode.tryAgainLater,
      msg: `the lock of ${path} has been held by another process for ${TIMEOUT_MS / 1000} s`,
      remedy: `find the process that holds it (fuser -v ${path}): a plugin that hangs can be killed, DEL removes what it has created`,
      cause: error,
    });
  }
}
