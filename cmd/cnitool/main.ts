/** cnitool: runs network configurations by hand, as a container runtime does. A drop-in replacement of the Go tool of that name. */
import { failureOf } from "../../pkg/cni/error.ts";
import type { Tool, ToolContext } from "../../pkg/cni/tool.ts";
import { add, check, del, gc, status } from "./attach.ts";
import type { Command } from "./command.ts";
import { commandCalled, readCommandLine, refuseWrongCount } from "./command-line.ts";
import { completionScript } from "./completion.ts";
import { helpFor, helpForAll } from "./help.ts";
import { list } from "./list.ts";
import { validate } from "./validate.ts";
import { version, versionLine } from "./version.ts";

export const cnitool: Tool = {
  name: "cnitool",
  about: "attaches containers to networks by hand, validates configurations, shows attachments and plugins",
  run,
};

const help: Command = {
  name: "help",
  operands: "[command]",
  required: 0,
  most: 1,
  about: "print help for cnitool or one of its commands",
  details: "",
  flags: [],
  examples: ["cnitool help add"],
  run({ operands: [name], context: { streams } }) {
    streams.stdout(name === undefined ? helpForAll(commands) : helpFor(commandCalled(name, commands)));
    return 0;
  },
};

const completion: Command = {
  name: "completion",
  operands: "<bash|zsh>",
  required: 1,
  most: 1,
  about: "print a script for the completion of arguments in a shell",
  details: "It completes commands and flags, and files for the rest.",
  flags: [],
  examples: ["cnitool completion bash > /etc/bash_completion.d/cnitool"],
  run({ operands: [shell = ""], context: { streams } }) {
    streams.stdout(completionScript(shell, commands));
    return 0;
  },
};

const commands: readonly Command[] = [add, check, del, gc, status, validate, list, version, help, completion];

function run(args: readonly string[], context: ToolContext): number {
  if (args.length === 1 && args[0] === "--version") {
    context.streams.stdout(`${versionLine(context.version)}\n`);
    return 0;
  }
  try {
    const { command, operands, flags } = readCommandLine(args, commands);
    if (command === undefined || flags.has("help")) {
      context.streams.stdout(command === undefined ? helpForAll(commands) : helpFor(command));
      return 0;
    }
    refuseWrongCount(command, operands);
    return command.run({ operands, flags, context });
  } catch (error) {
    const { msg, details } = failureOf(error);
    context.streams.stderr(`cnitool: ${msg}\n${indented(details)}`);
    return 1;
  }
}

/** Formats further failures and the remedy, each on its own line. */
function indented(details: string): string {
  const lines = details.split(/\n|(?:\. |; )(?=To fix: )|; (?=could not )/).filter((line) => line !== "");
  return lines.map((line) => `  ${line}\n`).join("");
}
