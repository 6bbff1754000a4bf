import type { Log } from "../../cluster/log/log.ts";
import { failureOf } from "../../cni/error.ts";

/** Logs a failure once while it stays the same. @returns a function that runs work; its result is undefined if the work failed */
export function complainer(log: Log, message: string): <T>(work: () => T) => T | undefined {
  let told: string | undefined;
  return (work) => {
    try {
      const done = work();
      told = undefined;
      return done;
    } catch (thrown) {
      const error = failureOf(thrown).message;
      if (error !== told) log.error(message, { error });
      told = error;
      return undefined;
    }
  };
}
