/** The interface of a plugin: a record of functions, one for each verb. */

import type { JsonSchema } from "../config/schema.ts";
import type { Shape } from "../config/shape.ts";
import type { Connection } from "../netlink/connection.ts";
import type { AttachmentId } from "./attachment-id.ts";
import type { Result } from "./result.ts";

/** Plugins of this executable by their names. */
export type Delegates = Readonly<Record<string, AnyPlugin>>;
// biome-ignore lint/suspicious/noExplicitAny: plugins of all configurations in one table
export type AnyPlugin = Plugin<any>;

/** The parameters of every verb but VERSION. */
export interface Request<Conf> {
  conf: Conf;
  /** The configuration's version; "0.1.0" when it has none. */
  cniVersion: string;
  network: string;
  /** The configuration unchanged, for delegates. */
  stdin: Uint8Array;
  /** Directories of CNI_PATH, in order. */
  path: readonly string[];
  /** Plugins of this executable that may be called without starting a process. */
  delegates: Delegates;
  /** What many calls in one process share; absent in a process of its own. */
  host?: HostConnections | undefined;
}

/**
 * Connections to the host's kernel for many calls in one process: a socket for each call would use up the descriptors, and each call would read the
 * rules of all attachments anew.
 */
export interface HostConnections {
  netfilter(): Connection;
  rtnl(): Connection;
}

/** The parameters of ADD, DEL and CHECK. */
export interface Attachment<Conf> extends Request<Conf>, AttachmentId {
  /** Path of the namespace; always set for ADD and CHECK. */
  netns: string | undefined;
  /** CNI_ARGS as given, "" when absent. */
  args: string;
  prevResult: Result | undefined;
}

/** The parameters of GC: the valid attachments; GC removes everything else. */
export interface Gc<Conf> extends Request<Conf> {
  validAttachments: readonly Omit<AttachmentId, "network">[];
}

export interface Plugin<Conf> {
  name: string;
  /** One line, for people who call it by hand. */
  about: string;
  validate: Validate;
  /** Whether it gives addresses, so that others may name it as `ipam.type`. */
  isIpam?: true;
  /** Set when the plugin does not support all of 0.1.0 to 1.1.0. */
  versions?: readonly string[];
  add(attachment: Attachment<Conf>): Result;
  del(attachment: Attachment<Conf>): void;
  check(attachment: Attachment<Conf>): void;
  gc(gc: Gc<Conf>): void;
  status(request: Request<Conf>): void;
  /**
   * Restores, for `twill reload`, the rules that ADD made on the host, according to its result in `prevResult`. Absent where ADD makes no
   * rules: reload is about what a firewall removes, interfaces and addresses stay.
   *
   * @param netfilter Opens the connection that collects the changes.
   * @param options.dryRun Leaves out what is not sent through that connection.
   */
  restore?(attachment: Attachment<Conf>, netfilter: () => Connection, options: RestoreOptions): void;
}

export interface RestoreOptions {
  dryRun: boolean;
}

/** The exports of `#validate/<plugin>`: the schema of its netconf.ts, and ajv's code for it. */
export interface Validate {
  schema(): JsonSchema;
  shape: Shape;
  /** Whether a configuration fits; if not, `check.errors` says where. */
  check: { (conf: unknown): boolean; errors?: readonly SchemaError[] | null };
}

/** An error as ajv reports it. */
export interface SchemaError {
  keyword: string;
  instancePath: string;
  /** Where the schema demands it; only of a choice (anyOf, oneOf) and its branches. */
  schemaPath?: string;
  params: Readonly<Record<string, unknown>>;
}
