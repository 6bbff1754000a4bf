/**
 * STATUS, the same rule for all plugins. An error says that every ADD of the network would fail until somebody changes
 * something on the node: runtimes make the whole node unready of it, and in the end evict containers that are healthy. So what
 * fails some ADDs only, or is over when a container ends (no address left), is a line on stderr.
 *
 * @see CNI specification, section 2 "STATUS"; docs/errors.md
 */
import { CniError, ErrorCode, receivedError } from "./error.ts";
import { writeStderr } from "./process-io.ts";

/** What every ADD needs: its error, in its own words, is code 50. */
export function orNotAvailable<T>(need: () => T): T {
  try {
    return need();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw notAvailable(error);
  }
}

/** The error of an ADD as STATUS gives it. */
export const notAvailable = (error: CniError): CniError =>
  receivedError({ msg: error.msg, details: error.details, code: ErrorCode.notAvailable });

/** What only some ADDs need. */
export function warnOfStatus(plugin: string, network: string, problem: string): void {
  writeStderr(`${plugin}: network ${JSON.stringify(network)}: STATUS: ${problem}\n`);
}
