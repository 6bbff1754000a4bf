/**
 * STATUS, with one rule for all plugins. An error means that every ADD of the network would fail until somebody changes something
 * on the node: runtimes then mark the whole node as not ready, and in the end evict healthy containers. So a problem that fails
 * only some ADDs, or that ends when a container ends (no address left), is a line on stderr.
 *
 * @see CNI specification, section 2 "STATUS"; docs/errors.md
 */
import { SystemError } from "../sys/errno.ts";
import { probeDirectory } from "../sys/file.ts";
import { writeStderr } from "../sys/process.ts";
import { CniError, ErrorCode, receivedError } from "./error.ts";

/** Runs a check of something that every ADD needs. @throws its CniError, with the same text and code 50. */
export function orNotAvailable<T>(need: () => T): T {
  try {
    return need();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw notAvailable(error);
  }
}

/** Converts an ADD's error into one of STATUS. */
export const notAvailable = (error: CniError): CniError =>
  receivedError({ msg: error.msg, details: error.details, code: ErrorCode.notAvailable });

/** Checks that files can be written below a directory that every ADD writes to. @throws CniError 50, which begins with `purpose`: they cannot */
export function needWritable(purpose: string, directory: string): void {
  try {
    probeDirectory(directory);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new CniError({
      code: ErrorCode.notAvailable,
      msg: `${purpose}: ${error.message}`,
      remedy: `check that ${directory} is writable and its file system is not full, or set "dataDir" to another directory`,
      cause: error,
    });
  }
}

/** Warns about a problem with something that only some ADDs need. */
export function warnOfStatus(plugin: string, network: string, problem: string): void {
  writeStderr(`${plugin}: network ${JSON.stringify(network)}: STATUS: ${problem}\n`);
}
