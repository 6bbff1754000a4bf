/** The answer to a call of a plugin: a result or an error, in the version that was asked for. */
import type { CniError } from "./error.ts";
import type { Result } from "./result.ts";

/** The outcome of a call. */
export interface Answer {
  /** The version in which the answer is printed. */
  cniVersion: string;
  network?: string;
  /** Present after an ADD that succeeded. */
  result?: Result;
  error?: CniError;
}
