// What the parity tests are made of: a configuration, what is done with it, and where we mean to differ.
import type { Call, Verb } from "../lab/host.ts";
import type { Feature } from "../lab/needs.ts";

/** A configuration that is given to the Go plugin and to ours, in fresh namespaces, and what both are made to do. */
export interface Row {
  /** The claim, such as "bridge: isGateway puts the gateway's address on the bridge". */
  name: string;
  plugin: string;
  conf: Json;
  /** For every step: CNI_ARGS, interface name and so on. */
  call?: Call;
  /** Shell commands run in the host namespace before the first step; $C0, $C1 are the containers' namespaces. */
  prepare?: string;
  /** Files that plugins see, all below /var/lib/. */
  files?: Record<string, string>;
  /** What is done; ADD, CHECK, DEL and a second DEL unless given. */
  steps?: readonly Step[];
  /** For plugins that make files and nothing else: the namespaces are not looked at. */
  filesOnly?: boolean;
  needs?: readonly Feature[];
  deviations?: readonly Deviation[];
}

export type Step = Verb | DetailedStep;

export interface DetailedStep extends Call {
  verb: Verb;
  /** Keys laid over the row's configuration. */
  conf?: Json;
  /** Raw bytes of stdin instead of the configuration. */
  stdin?: string;
  /** Shell commands run in the host namespace before this step. */
  before?: string;
  /** The step fails, and the message contains this text in both implementations. */
  says?: string;
}

export type Json = Record<string, unknown>;

/**
 * Lines of the record that only one side has. Each pattern must match such a line, or the test fails: what no longer
 * differs is no deviation.
 */
export interface Deviation {
  /** For one from the Go plugins of today: the heading under which docs/compatibility.md, or the plugin's page, explains it. */
  title: string;
  /** Whether only the old release in Debian differs, while release 1.9.1 does what we do. */
  settledIn191: boolean;
  go: readonly RegExp[];
  ours: readonly RegExp[];
  /** Go's line reads like one of ours once the pattern is replaced: says exactly what differs in a line. */
  rewritten: readonly [pattern: RegExp, replacement: string][];
}

interface Sides {
  go?: RegExp | readonly RegExp[];
  ours?: RegExp | readonly RegExp[];
  rewritten?: Deviation["rewritten"];
}

/** We mean to differ from every release. @param title A heading of docs/compatibility.md or of the plugin's page. */
export function intended(title: string, sides: Sides): Deviation {
  return deviation(title, false, sides);
}

/** Debian's release 1.1.1 does it otherwise than release 1.9.1 and we do. */
export function asRelease191(title: string, sides: Sides): Deviation {
  return deviation(title, true, sides);
}

function deviation(title: string, settledIn191: boolean, { go = [], ours = [], rewritten = [] }: Sides): Deviation {
  return { title, settledIn191, go: [go].flat(), ours: [ours].flat(), rewritten };
}
