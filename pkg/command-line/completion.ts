/** The script that completes a tool's commands and flags in a shell; everything else completes as files. Pure. */
import { CniError, ErrorCode } from "../cni/error.ts";
import type { CommandSet } from "./command.ts";

/** @throws CniError 4: an unknown shell */
export function completionScript(shell: string, tool: CommandSet): string {
  const script = scripts[shell];
  if (script !== undefined) return script(tool);
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `there is no completion for "${shell}"`,
    remedy: `use one of ${Object.keys(scripts).join(", ")}`,
  });
}

const scripts: Readonly<Record<string, (tool: CommandSet) => string>> = {
  bash: bashScript,
  zsh: (tool) => `autoload -U +X bashcompinit && bashcompinit\n${bashScript(tool)}`,
};

function bashScript({ name: tool, commands }: CommandSet): string {
  const flags = new Set(["help", ...commands.flatMap((command) => command.flags.map(({ name }) => name))]);
  const word = tool.replace(/\W/g, "_");
  return `_${word}() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words=""
  if [ "$COMP_CWORD" = 1 ]; then words="${commands.map(({ name }) => name).join(" ")}"; fi
  case "$word" in -*) words="${[...flags].map((name) => `--${name}`).join(" ")}" ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _${word} ${tool}
`;
}
