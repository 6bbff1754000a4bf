/**
 * Has `twill network` remove what belonged to containers that are gone: addresses, rules, records; and open what links to containers are for that a runtime
 * attached. Nobody calls DEL for what `connect` made, and this is the one program that waits while containers run. Another process does it, since it takes locks and calls plugins, while queries are to be answered.
 */
import { failureOf } from "../cni/error.ts";
import { environment, findOutcome, start } from "../sys/process.ts";

/** Any command of `twill network` begins with it. */
const COMMAND = ["twill", "network", "ls", "--quiet"];
/** How soon it is tried again when something was left: a plugin failed, and told why in the log. */
const PAUSE_MS = 30_000;

export class Cleaner {
  #child: number | undefined;
  /** What the last run was for, and until when it is not run again for that. */
  #last = { reason: "", untilMs: 0 };

  /** Starts the command, unless it runs or has just run. @param reason says what for @returns whether it was started */
  run(reason: string, nowMs: number, log: (text: string) => void): boolean {
    if (this.#isRunning() || (reason === this.#last.reason && nowMs < this.#last.untilMs)) return false;
    this.#last = { reason, untilMs: nowMs + PAUSE_MS };
    try {
      this.#child = start("/proc/self/exe", COMMAND, environment());
    } catch (error) {
      log(
        `cannot start twill network, which removes what is left of containers that are gone: ${failureOf(error).message}`,
      );
    }
    return true;
  }

  #isRunning(): boolean {
    if (this.#child === undefined || findOutcome(this.#child) === undefined) return this.#child !== undefined;
    this.#child = undefined;
    return false;
  }
}
