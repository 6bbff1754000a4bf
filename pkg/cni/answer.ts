/** What a call of a plugin ends in: a result or an error, in the version that was asked for. */
import type { CniError } from "./error.ts";
import type { Result } from "./result.ts";

/** What came of a call. */
export interface Answer {
  /** In which it is to be printed. */
  cniVersion: string;
  network?: string;
  /** Of an ADD that went well. */
  result?: Result;
  error?: CniError;
}
