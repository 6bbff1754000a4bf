/** The help of one command, and the command that prints it. */
import type { Command, CommandSet, Flag } from "./command.ts";
import { commandCalled, flagsShown } from "./command-line.ts";
import { columns } from "./table.ts";

export function helpFor(command: Command, tool: string): string {
  const { name, operands, about, details, examples } = command;
  return [
    `${tool} ${name}: ${about}`,
    ...(details === "" ? [] : ["", details]),
    "",
    "Usage:",
    `  ${tool} ${name}${operands === "" ? "" : ` ${operands}`} [flags]`,
    "",
    "Flags:",
    ...columns(flagsShown(command).map((flag) => [usageOf(flag), flag.about])),
    "",
    "Examples:",
    ...examples.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

function usageOf({ short, name, value }: Flag): string {
  return `${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}

/** Makes the command "help" of a tool. @param tool called when the command runs: the command is one of the tool's own. */
export const helpCommand = (
  name: string,
  example: string,
  tool: () => CommandSet,
  overview: () => string,
): Command => ({
  name: "help",
  operands: "[command]",
  required: 0,
  most: 1,
  about: `print help for ${name} or one of its commands`,
  details: "",
  flags: [],
  examples: [`${name} help ${example}`],
  complete: (operands) => (operands.length === 0 ? tool().commands.map((command) => command.name) : []),
  run({ operands: [command], context: { streams } }) {
    streams.stdout(command === undefined ? overview() : helpFor(commandCalled(command, tool()), name));
    return 0;
  },
});
