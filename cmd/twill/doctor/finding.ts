/** What `twill doctor` tells, and the checks that find it. */

import type { NodeView } from "./node-view.ts";

/**
 * An error: containers cannot be attached, or have no network. Unknown: something could not be examined, so that it is neither right nor
 * wrong.
 */
export type Severity = "error" | "warning" | "unknown";

/** One kind of finding. */
export interface Check {
  /** As in `twill doctor` and docs/doctor.md. */
  id: string;
  /** What it looks at, for `twill doctor --list`. */
  about: string;
  /** Of what it finds, unless an observation has another one. */
  severity: Severity;
  find(node: NodeView): Observation[];
}

/** What a check has found. */
export interface Observation {
  severity?: Severity;
  /** One line. */
  text: string;
  /** What was seen, a line each. */
  evidence: readonly string[];
  remedy: string;
  /** What --fix does; absent where it needs a decision. */
  fix?: Fix | undefined;
}

export interface Fix {
  /** As "set net.ipv4.ip_forward to 1". */
  text: string;
  run(): void;
}

/** An observation with the check that made it. */
export interface Finding extends Observation {
  id: string;
  severity: Severity;
}
