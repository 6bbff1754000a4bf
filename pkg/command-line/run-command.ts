/** Runs the command of a tool that the arguments name. */
import { failureOf } from "../cni/error.ts";
import type { Tool, ToolContext } from "../cni/tool.ts";
import type { Command, CommandSet } from "./command.ts";
import { type CommandLine, readCommandLine, refuseWrongCount } from "./command-line.ts";
import { completionsOf } from "./completion.ts";
import { helpFor } from "./help.ts";

/** Runs the command. @param overview The text to print when there is none. @returns the exit status */
export function runCommand(
  tool: CommandSet,
  args: readonly string[],
  context: ToolContext,
  overview: () => string,
): number {
  const { usageStatus = 1 } = tool.commands.find(({ name }) => name === args[0]) ?? {};
  const run = ({ command, ...given }: CommandLine): number => {
    if (command !== undefined && !given.flags.has("help")) return command.run({ ...given, context });
    context.streams.stdout(command === undefined ? overview() : helpFor(command, tool.name));
    return 0;
  };
  return telling(tool.name, context, usageStatus, () => {
    const line = checkedCommandLine(args, tool);
    return telling(tool.name, context, 1, () => run(line));
  });
}

function checkedCommandLine(args: readonly string[], tool: CommandSet): CommandLine {
  const line = readCommandLine(args, tool);
  const { command, operands, flags } = line;
  if (command !== undefined && !flags.has("help")) refuseWrongCount(command, operands, tool.name);
  return line;
}

/** Makes a tool of one command that another program runs by its name: `twill install`. */
export function asTool(program: string, command: Command): Tool {
  const alone: CommandSet = { name: program, commands: [command] };
  return {
    name: command.name,
    about: command.about,
    run: (args, context) => runCommand(alone, [command.name, ...args], context, () => ""),
    complete: (words, context) => completionsOf([command.name, ...words], alone, context),
  };
}

/** @returns what `work` returns; when it throws, `status` */
function telling(name: string, { streams }: ToolContext, status: number, work: () => number): number {
  try {
    return work();
  } catch (error) {
    streams.stderr(failureText(name, error));
    return status;
  }
}

/** Formats an error for people: what is wrong, then details and remedy on lines of their own. */
export function failureText(name: string, error: unknown): string {
  const { msg, details } = failureOf(error);
  return `${name}: ${msg}\n${indented(details)}`;
}

/** Formats further failures and the remedy, each on its own line. */
const indented = (details: string): string =>
  detailLines(details)
    .map((line) => `  ${line}\n`)
    .join("");

/** Splits the details of an error into lines: further failures and the remedy. */
export const detailLines = (details: string): string[] =>
  details.split(/\n|(?:\. |; )(?=To fix: )|; (?=could not )/).filter((line) => line !== "");
