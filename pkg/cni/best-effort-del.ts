/** Goes on with a DEL after a failed step: every step is run, and failures are reported afterwards. */
import { CniError, ErrorCode, errorText } from "./error.ts";

export type NamedStep = readonly [what: string, action: () => void];

/**
 * Runs every step, also after one that failed, then reports the failures.
 *
 * @throws the error of the only step that failed; when several failed, the first one's code and message, with all others in the
 * details.
 */
export function runAllSteps(steps: readonly NamedStep[]): void {
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
    msg: first.error instanceof CniError ? first.error.msg : errorText(first.error),
    details: [
      ...(first.error instanceof CniError ? [first.error.details] : []),
      ...others.map(({ what, error }) => `could not ${what} either: ${errorText(error)}`),
    ].join("; "),
    remedy: "",
    cause: first.error,
  });
}
