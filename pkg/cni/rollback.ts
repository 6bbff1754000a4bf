/** What undoes an ADD that failed half-way, and what lets a DEL go on after a failure. */
import { CniError, ErrorCode } from "./error.ts";
import { writeStderr } from "./streams.ts";

type Undo = (what: string, action: () => void) => void;
export type Step = readonly [what: string, action: () => void];

/**
 * Runs `work`; when it throws, runs what it registered with `undo`, last first, and throws the same error.
 *
 * Register *before* a step that can be half done, *after* a step whose failure may mean "someone else's". An undo that
 * fails is told on stderr and keeps none of the others from running.
 */
export function withRollback<T>(work: (undo: Undo) => T, log: (line: string) => void = toStderr): T {
  const undos: Step[] = [];
  try {
    return work((what, action) => undos.push([what, action]));
  } catch (error) {
    for (const [what, action] of undos.reverse()) {
      try {
        action();
      } catch (failure) {
        log(`after a failure: could not ${what}: ${textOf(failure)}`);
      }
    }
    throw error;
  }
}

/**
 * Runs every step, also after one failed, then reports.
 *
 * @throws the error of the only step that failed; of several: the first one's code and message, with all others in the details.
 */
export function attemptAll(steps: readonly Step[]): void {
  const failures: { what: string; error: unknown }[] = [];
  for (const [what, action] of steps) {
    try {
      action();
    } catch (error) {
      failures.push({ what, error });
    }
  }
  const [first, ...others] = failures;
  if (first === undefined) return;
  if (others.length === 0) throw first.error;
  throw new CniError({
    code: first.error instanceof CniError ? first.error.code : ErrorCode.internal,
    msg: first.error instanceof CniError ? first.error.msg : textOf(first.error),
    details: [
      ...(first.error instanceof CniError ? [first.error.details] : []),
      ...others.map(({ what, error }) => `could not ${what} either: ${textOf(error)}`),
    ].join("; "),
    remedy: "",
    cause: first.error,
  });
}

const toStderr = (line: string): void => writeStderr(`${line}\n`);

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
