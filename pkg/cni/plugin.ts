/** What a plugin is: a record of functions, one for each verb. */

import type { Shape } from "../config/normalize.ts";
import type { JsonSchema } from "../config/schema.ts";
import type { Result } from "./result.ts";

/** Plugins of this executable by their names. */
export type Delegates = Readonly<Record<string, AnyPlugin>>;
// biome-ignore lint/suspicious/noExplicitAny: plugins of all configurations in one table
export type AnyPlugin = Plugin<any>;

/** What every verb but VERSION is told. */
export interface Request<Conf> {
  conf: Conf;
  /** Of the configuration; "0.1.0" when it names none. */
  cniVersion: string;
  /** The network's name. */
  network: string;
  /** The configuration unchanged, for delegates. */
  stdin: Uint8Array;
  /** Directories of CNI_PATH, in order. */
  path: readonly string[];
  /** Plugins of this executable that may be called without starting a process. */
  delegates: Delegates;
}

/** ADD, DEL, CHECK. */
export interface Attachment<Conf> extends Request<Conf> {
  containerId: string;
  /** Path; always there for ADD and CHECK. */
  netns: string | undefined;
  ifName: string;
  /** CNI_ARGS as given, "" when absent. */
  args: string;
  prevResult: Result | undefined;
}

/** Who is alive: everything else goes. */
export interface Gc<Conf> extends Request<Conf> {
  validAttachments: readonly { containerId: string; ifName: string }[];
}

export interface Plugin<Conf> {
  name: string;
  /** One line, for those who call it by hand. */
  about: string;
  validate: Validate;
  /** Where not all of 0.1.0 to 1.1.0. */
  versions?: readonly string[];
  add(attachment: Attachment<Conf>): Result;
  del(attachment: Attachment<Conf>): void;
  check(attachment: Attachment<Conf>): void;
  gc(gc: Gc<Conf>): void;
  status(request: Request<Conf>): void;
}

/** What `#validate/<plugin>` exports: the schema of its netconf.ts, and ajv's code for it. */
export interface Validate {
  schema: JsonSchema;
  shape: Shape;
  /** Whether a configuration fits; if not, `check.errors` says where. */
  check: { (conf: unknown): boolean; errors?: readonly SchemaError[] | null };
}

/** As ajv reports it. */
export interface SchemaError {
  keyword: string;
  instancePath: string;
  schemaPath: string;
  params: Readonly<Record<string, unknown>>;
}
