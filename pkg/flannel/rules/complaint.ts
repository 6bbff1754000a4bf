import type { Log } from "../../cluster/log/log.ts";
import { failureOf } from "../../cni/error.ts";

/** Tells of failures once as long as they stay the same. @returns runs work that may fail; undefined when it did */
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
