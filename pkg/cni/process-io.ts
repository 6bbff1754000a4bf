/** What a plugin's process is given and what it writes to. */
import { SystemError } from "../sys/errno.ts";
import { readAll, writeAll } from "../sys/file.ts";
import { environment, processArguments, standardError, standardInput, standardOutput } from "../sys/process.ts";
import { encode } from "../sys/text.ts";
import { maxConfigurationBytes } from "./netconf.ts";

export interface Streams {
  environment: Readonly<Record<string, string>>;
  /** As the caller named the executable. */
  program: string;
  /** Everything, or a little more than what is too much. */
  stdin(): Uint8Array;
  /** In one write: whoever reads in pieces sees all or nothing. */
  stdout(text: string): void;
  stderr(text: string): void;
}

export function standardStreams(): Streams {
  return {
    environment: environment(),
    program: processArguments()[0] ?? "",
    stdin: () => readAll(standardInput, "stdin", maxConfigurationBytes),
    stdout: (text) => writeAll(standardOutput, encode(text), "stdout"),
    stderr: writeStderr,
  };
}

/** For people. That nobody can listen (it is closed, the disk of the log is full) must not fail a call. */
export function writeStderr(text: string): void {
  try {
    writeAll(standardError, encode(text), "stderr");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}
