/** Plugins that choose among what is free in a container, or share what is on the host, take turns. */
import { CniError, ErrorCode } from "../cni/error.ts";
import { isErrno } from "../sys/errno.ts";
import { Open, openFile, withLockedFile } from "../sys/file.ts";
import type { Namespace } from "../sys/namespace.ts";

const TIMEOUT_MS = 10_000;

/**
 * Runs `work` while this process alone has the namespace's lock: flock(2) on the namespace itself, under whatever path, which is what the
 * reference plugins lock too.
 *
 * @throws CniError 11: someone else had it for 10 s
 */
export function withLockedNamespace<T>({ path }: Pick<Namespace, "path">, work: () => T): T {
  try {
    return withLockedFile(openFile(path, Open.readOnly), path, TIMEOUT_MS, work);
  } catch (error) {
    if (!isErrno(error, "EAGAIN")) throw error;
    throw new CniError({
      code: ErrorCode.tryAgainLater,
      msg: `the lock of ${path} has been held by another process for ${TIMEOUT_MS / 1000} s`,
      remedy: `see who holds it (fuser -v ${path}): a plugin that hangs can be killed, DEL removes what it has made`,
      cause: error,
    });
  }
}
