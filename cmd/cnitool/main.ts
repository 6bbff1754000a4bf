/** cnitool: runs network configurations by hand, as a container runtime does. A drop-in replacement of the Go tool of that name. */
import type { Tool, ToolContext } from "../../pkg/cni/tool.ts";
import type { Command, CommandSet } from "../../pkg/command-line/command.ts";
import { completionCommand, completionsOf } from "../../pkg/command-line/completion.ts";
import { helpCommand } from "../../pkg/command-line/help.ts";
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
  complete: (words, context) => completionsOf(words, tool, context),
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
  helpCommand(
    "cnitool",
    "add",
    () => tool,
    () => helpForAll(commands),
  ),
  completionCommand("cnitool"),
];
const tool: CommandSet = { name: "cnitool", commands };

function run(args: readonly string[], context: ToolContext): number {
  if (args.length === 1 && args[0] === "--version") {
    context.streams.stdout(`${versionLine(context.version)}\n`);
    return 0;
  }
  return runCommand(tool, args, context, () => helpForAll(commands));
}
