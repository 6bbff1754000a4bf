/** Puts the kernel's refusals about the subnet file, and the files beside it, into words. */
import { isErrno, SystemError } from "../../pkg/sys/errno.ts";

/** The subnet file, or a file beside it, cannot be read or written. `message` has the remedy. */
export class SubnetFileError extends Error {
  override name = "SubnetFileError";
}

/** @throws SubnetFileError in place of a SystemError; other errors of `work` */
export async function aboutSubnetFile<T>(subnetFile: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof SystemError ? subnetFileError(subnetFile, error) : error;
  }
}

const subnetFileError = (subnetFile: string, error: SystemError): SubnetFileError =>
  new SubnetFileError(`cannot use --subnet-file ${subnetFile}: ${error.message}. To fix: ${remedyFor(error)}`, {
    cause: error,
  });

function remedyFor(error: SystemError): string {
  if (isErrno(error, "ENOSPC", "EDQUOT")) return "free space on its file system";
  if (isErrno(error, "ENOTDIR", "EISDIR", "EEXIST", "ELOOP"))
    return `move away what is at ${error.object ?? "that path"}, or use another --subnet-file`;
  if (isErrno(error, "EAGAIN", "ETIMEDOUT")) return "stop the process that holds its lock (fuser -v shows it)";
  return "use one in a directory where flanneld may write, such as /run/flannel/subnet.env";
}
