/** cnitool: runs network configurations by hand, as a container runtime does. A drop-in replacement of the Go tool of that name. */
import type { Tool, ToolContext } from "../../pkg/cni/tool.ts";
import type { Command, CommandSet } from "../../pkg/command-line/command.ts";
import { commandCalled } from "../../pkg/command-line/command-line.ts";
import { COMPLETE, completionCommand, completionsOf } from "../../pkg/command-line/completion.ts";
import { helpFor } from "../../pkg/command-line/help.ts";
import { runCommand } from "../../pkg/command-line/run-command.ts";
import { add, check, del, gc, status } from "./attach.ts";
import { helpForAll } from "./help.ts";
import { list } from "./list.ts";
import { validate } from "./validate.ts";
import { version, versionLine } from "./version.ts";

export const cnitool: Tool = {
  name: "cnitool",
  about: "attaches containers to networks by hand, validates configurations, shows attachments and plugins",
  run,
  complete,
};

const help: Command = {
  name: "help",
  operands: "[command]",
  required: 0,
  most: 1,
  about: "print help for cnitool or one of its commands",
  details: "",
  flags: [],
  complete: (operands) => (operands.length === 0 ? commands.map(({ name }) => name) : []),
  examples: ["cnitool help add"],
  run({ operands: [name], context: { streams } }) {
    streams.stdout(name === undefined ? helpForAll(commands) : helpFor(commandCalled(name, tool), tool.name));
    return 0;
  },
};

const commands: readonly Command[] = [
  add,
  check,
  del,
  gc,
  status,
  validate,
  list,
  version,
  help,
  completionCommand("cnitool"),
];
const tool: CommandSet = { name: "cnitool", commands };

function run(args: readonly string[], context: ToolContext): number {
  if (args.length === 1 && args[0] === "--version") {
    context.streams.stdout(`${versionLine(context.version)}\n`);
    return 0;
  }
  if (args[0] === COMPLETE) {
    context.streams.stdout(
      complete(args.slice(1), context)
        .map((name) => `${name}\n`)
        .join(""),
    );
    return 0;
  }
  return runCommand(tool, args, context, () => helpForAll(commands));
}

function complete(words: readonly string[], context: ToolContext): string[] {
  return completionsOf(words, tool, context);
}
