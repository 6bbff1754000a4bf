/** The help of one command. Pure. */
import type { Command, Flag } from "./command.ts";
import { helpFlag } from "./command-line.ts";
import { columns } from "./table.ts";

export function helpFor({ name, operands, about, details, flags, examples }: Command, tool: string): string {
  return [
    `${tool} ${name}: ${about}`,
    ...(details === "" ? [] : ["", details]),
    "",
    "Usage:",
    `  ${tool} ${name}${operands === "" ? "" : ` ${operands}`} [flags]`,
    "",
    "Flags:",
    ...columns([...flags, helpFlag].map((flag) => [usageOf(flag), flag.about])),
    "",
    "Examples:",
    ...examples.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

function usageOf({ short, name, value }: Flag): string {
  return `${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}
