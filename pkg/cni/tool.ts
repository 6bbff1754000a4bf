/** A command-line program that is part of the plugins' executable, so that a node needs no other file. */
import type { Delegates } from "./plugin.ts";
import type { Streams } from "./process-io.ts";

export interface Tool {
  name: string;
  /** One line. */
  about: string;
  /** @param args without the program's own name. @returns the exit status */
  run(args: readonly string[], context: ToolContext): number;
  /** Returns what the last of its arguments may become, for the completion in a shell. */
  complete?(words: readonly string[], context: ToolContext): readonly string[];
}

export interface ToolContext {
  /** Version of the executable. */
  version: string;
  /** The plugins of the executable. */
  plugins: Delegates;
  streams: Streams;
}
