/**
 * Completion of a tool's arguments in bash, zsh and fish. The scripts ask the tool itself, as those of cobra do: `TOOL __complete
 * WORD...` prints what the last word may become, a line for each; where it prints nothing, shells offer files.
 */
import { CniError, ErrorCode } from "../cni/error.ts";
import type { ToolContext } from "../cni/tool.ts";
import type { Command, CommandSet, Flag } from "./command.ts";
import { helpFlag } from "./command-line.ts";

/** The first argument with which the scripts call a tool. */
export const COMPLETE = "__complete";

/** Makes the command that prints the script for a tool. */
export const completionCommand = (tool: string): Command => ({
  name: "completion",
  operands: `<${Object.keys(scripts).join("|")}>`,
  required: 1,
  most: 1,
  about: "print a script for the completion of arguments in a shell",
  details: "It completes commands, flags, networks, namespaces and containers, and files for the rest.",
  flags: [],
  examples: [`${tool} completion bash > /etc/bash_completion.d/${tool}`],
  complete: (operands) => (operands.length === 0 ? Object.keys(scripts) : []),
  run({ operands: [shell = ""], context: { streams } }) {
    streams.stdout(completionScript(shell, tool));
    return 0;
  },
});

/** @throws CniError 4: an unknown shell */
export function completionScript(shell: string, tool: string): string {
  const script = scripts[shell];
  if (script !== undefined) return script(tool);
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `there is no completion for "${shell}"`,
    remedy: `use one of ${Object.keys(scripts).join(", ")}`,
  });
}

const scripts: Readonly<Record<string, (tool: string) => string>> = {
  bash: (tool) => `_${tool}() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("$line")
  done < <("\${COMP_WORDS[0]}" ${COMPLETE} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
}
complete -o default -F _${tool} ${tool}
`,
  zsh: (tool) => `#compdef ${tool}
_${tool}() {
  local -a candidates
  candidates=("\${(@f)$("\${words[1]}" ${COMPLETE} "\${(@)words[2,CURRENT]}" 2> /dev/null)}")
  if [[ -n "$candidates" ]]; then compadd -- $candidates; else _files; fi
}
if [[ "$funcstack[1]" = _${tool} ]]; then _${tool} "$@"; else compdef _${tool} ${tool}; fi
`,
  fish: (tool) => `function __${tool}_completions
  set -l words (commandline -opc) (commandline -ct)
  set -l candidates ($words[1] ${COMPLETE} $words[2..-1] 2> /dev/null)
  if set -q candidates[1]; printf '%s\\n' $candidates; else; __fish_complete_path (commandline -ct); end
end
complete -c ${tool} -f -a "(__${tool}_completions)"
`,
};

/**
 * Lists what the last word may become.
 *
 * @param words the arguments behind the tool's name, the last one perhaps empty
 */
export function completionsOf(words: readonly string[], { commands }: CommandSet, context: ToolContext): string[] {
  const [before, last] = [words.slice(0, -1), words.at(-1) ?? ""];
  const command = commands.find(({ name, aliases = [] }) => before.some((word) => [name, ...aliases].includes(word)));
  return matching(last, candidates(before, last, command, { commands, context }));
}

/** Selects those that begin with the word. Names that a shell would have to quote are left out. */
export const matching = (word: string, names: readonly string[]): string[] =>
  names.filter((name) => name.startsWith(word) && /^[\w@%+=:,./-]+$/.test(name));

function candidates(
  before: readonly string[],
  last: string,
  command: Command | undefined,
  { commands, context }: { commands: readonly Command[]; context: ToolContext },
): readonly string[] {
  if (command === undefined) return last.startsWith("-") ? flagNames([helpFlag]) : commands.map(({ name }) => name);
  const flags = [...command.flags, helpFlag];
  const expecting = flagOf(before.at(-1) ?? "", flags);
  if (expecting?.value !== undefined) return expecting.complete?.(context) ?? [];
  if (last.startsWith("-")) return flagNames(flags);
  return command.complete?.(operandsOf(before, command, flags), context) ?? [];
}

const flagNames = (flags: readonly Flag[]): string[] => flags.map(({ name }) => `--${name}`);

const flagOf = (word: string, flags: readonly Flag[]): Flag | undefined =>
  flags.find(({ name, short }) => word === `--${name}` || (short !== undefined && word === `-${short}`));

/** Returns the words that are neither the command nor flags and their values. */
function operandsOf(before: readonly string[], { name, aliases = [] }: Command, flags: readonly Flag[]): string[] {
  const isValue = (at: number) => flagOf(before[at - 1] ?? "", flags)?.value !== undefined;
  const words = before.filter((word, at) => !word.startsWith("-") && !isValue(at));
  const own = words.findIndex((word) => [name, ...aliases].includes(word));
  return words.filter((_, at) => at !== own);
}
