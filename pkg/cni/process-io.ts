/** The input and output of a plugin's process. */
import { SystemError } from "../sys/errno.ts";
import { readAll, writeAll } from "../sys/file.ts";
import { environment, processArguments, standardError, standardInput, standardOutput } from "../sys/process.ts";
import { encode } from "../sys/text.ts";
import { maxConfigurationBytes } from "./netconf.ts";

export interface Streams {
  environment: Readonly<Record<string, string>>;
  /** The executable's name as the caller wrote it. */
  program: string;
  /** Reads everything, or a little more than the size limit. */
  stdin(): Uint8Array;
  /** Writes in a single write, so that a reader sees all or nothing. */
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

/** Writes a message for people. A failure (stderr is closed, the disk of the log is full) must not fail the call. */
export function writeStderr(text: string): void {
  try {
    writeAll(standardError, encode(text), "stderr");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}
