/** Undoes an ADD that failed half-way. */

import { writeStderr } from "../sys/process.ts";
import type { NamedStep } from "./best-effort-del.ts";
import { errorText } from "./error.ts";

type Undo = (what: string, action: () => void) => void;

/**
 * Runs `work`; when it throws, runs what it registered with `undo`, last first, and throws the same error.
 *
 * Register *before* a step that can be half done, *after* a step whose failure may mean that the object belongs to someone else. An
 * undo that fails is reported on stderr, and the others are still run.
 */
export function withRollback<T>(work: (undo: Undo) => T, log: (line: string) => void = toStderr): T {
  const undos: NamedStep[] = [];
  try {
    return work((what, action) => undos.push([what, action]));
  } catch (error) {
    for (const [what, action] of undos.reverse()) {
      try {
        action();
      } catch (failure) {
        log(`after a failure: could not ${what}: ${errorText(failure)}`);
      }
    }
    throw error;
  }
}

const toStderr = (line: string): void => writeStderr(`${line}\n`);
