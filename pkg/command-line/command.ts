/** The types of a tool's commands, for the command line, the help and the completion. */
import type { ToolContext } from "../cni/tool.ts";

export interface Command {
  name: string;
  /** Other names of it, as "remove" for "rm". */
  aliases?: readonly string[];
  /** As shown in the usage: "<network-name> <netns-path>". */
  operands: string;
  /** The number of operands that are required, and of those that are taken. */
  required: number;
  most: number;
  /** One line. */
  about: string;
  /** The information that a user needs; lines of at most 100 characters. */
  details: string;
  flags: readonly Flag[];
  /** The exit status when the command line is wrong, where that is not 1. */
  usageStatus?: number;
  /** Lines for a shell; each works on a node where the previous ones were run. */
  examples: readonly string[];
  /** The operands are another program with its arguments: from the first one on, nothing is a flag of this command. */
  runsProgram?: boolean;
  /** Returns what the next operand may be, for the completion in a shell; nothing where it is a file. */
  complete?(operands: readonly string[], context: ToolContext): readonly string[];
  /** @returns the exit status */
  run(call: Call): number;
}

/** A tool with commands. */
export interface CommandSet {
  /** The tool's name, as "cnitool". */
  name: string;
  commands: readonly Command[];
}

export interface Flag {
  /** Without the dashes. */
  name: string;
  /** Other names of it, as Docker's "net" for "network". */
  aliases?: readonly string[];
  /** One letter. */
  short?: string;
  /** Name of its value in the usage; a flag without one is a switch. */
  value?: string;
  about: string;
  /** Whether a value may be several, with commas between them, as Docker has it. */
  isList?: boolean;
  /** Returns what its value may be, for the completion in a shell. */
  complete?(context: ToolContext): readonly string[];
}

export interface Call {
  operands: readonly string[];
  flags: Flags;
  values: FlagValues;
  context: ToolContext;
}

/** Values by name, the last one where a flag is repeated; "" for a switch. */
export type Flags = ReadonlyMap<string, string>;

/** All values by name, of flags that may be repeated, in the order of the command line. */
export type FlagValues = ReadonlyMap<string, readonly string[]>;

export const jsonFlag: Flag = { name: "json", about: "print JSON, for programs" };
