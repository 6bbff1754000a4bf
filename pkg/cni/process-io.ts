/** The input and output of a plugin's process. */
import { readStream, writeStream } from "../sys/file.ts";
import { environment, processArguments, standardInput, standardOutput, writeStderr } from "../sys/process.ts";
import { encode } from "../sys/text.ts";
import { failedCallsFile } from "./failed-calls.ts";
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
  /** The file for failed and slow calls; undefined: they are not recorded. */
  failedCalls?: string;
}

export function standardStreams(): Streams {
  return {
    environment: environment(),
    program: processArguments()[0] ?? "",
    stdin: () => readStream(standardInput, "stdin", maxConfigurationBytes),
    stdout: (text) => writeStream(standardOutput, encode(text), "stdout"),
    stderr: writeStderr,
    failedCalls: failedCallsFile,
  };
}
