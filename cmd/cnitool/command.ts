/** What a command of cnitool is, for the command line, the help and the completion. */
import type { ToolContext } from "../../pkg/cni/tool.ts";

export interface Command {
  name: string;
  /** As usage shows them: "<network-name> <netns-path>". */
  operands: string;
  /** How many operands it cannot do without; more are no error, as in the Go tool. */
  required: number;
  /** One line. */
  about: string;
  /** What one has to know to use it; lines of at most 100 characters. */
  details: string;
  flags: readonly Flag[];
  /** Lines for a shell, each works on a node where the ones before it were run. */
  examples: readonly string[];
  /** @returns the exit status */
  run(call: Call): number;
}

export interface Flag {
  /** Without the dashes. */
  name: string;
  /** One letter. */
  short?: string;
  /** What its value is called; a flag without one is a switch. */
  value?: string;
  about: string;
}

export interface Call {
  operands: readonly string[];
  flags: Flags;
  context: ToolContext;
}

/** By name; "" for a switch. */
export type Flags = ReadonlyMap<string, string>;

export const jsonFlag: Flag = { name: "json", about: "print JSON, for programs" };
