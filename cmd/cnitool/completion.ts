/** The script that completes cnitool's commands and flags in a shell; everything else completes as files. Pure. */
import { CniError, ErrorCode } from "../../pkg/cni/error.ts";
import type { Command } from "./command.ts";

/** @throws CniError 4: an unknown shell */
export function completionScript(shell: string, commands: readonly Command[]): string {
  const script = scripts[shell];
  if (script !== undefined) return script(commands);
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `there is no completion for "${shell}"`,
    remedy: `use one of ${Object.keys(scripts).join(", ")}`,
  });
}

const scripts: Readonly<Record<string, (commands: readonly Command[]) => string>> = {
  bash: bashScript,
  zsh: (commands) => `autoload -U +X bashcompinit && bashcompinit\n${bashScript(commands)}`,
};

function bashScript(commands: readonly Command[]): string {
  const flags = new Set(["help", ...commands.flatMap((command) => command.flags.map(({ name }) => name))]);
  return `_cnitool() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words=""
  if [ "$COMP_CWORD" = 1 ]; then words="${commands.map(({ name }) => name).join(" ")}"; fi
  case "$word" in -*) words="${[...flags].map((name) => `--${name}`).join(" ")}" ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _cnitool cnitool
`;
}
