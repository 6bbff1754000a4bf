/** The scripts by which shells complete the tools' arguments, for `twill install --completion`. */
import { completionScript } from "../../../pkg/command-line/completion.ts";

/** Where an administrator's files for other programs are. */
export const shareDirectory = "/usr/local/share";

/** Where bash-completion, zsh and fish look for what an administrator has installed. */
const places: Readonly<Record<string, (tool: string) => string>> = {
  bash: (tool) => `${shareDirectory}/bash-completion/completions/${tool}`,
  zsh: (tool) => `${shareDirectory}/zsh/site-functions/_${tool}`,
  fish: (tool) => `${shareDirectory}/fish/vendor_completions.d/${tool}.fish`,
};

/** Returns the text of each file by its path. */
export const completionFiles = (): Map<string, string> =>
  new Map(
    Object.entries(places).flatMap(([shell, place]) =>
      ["cnitool", "twill"].map((tool) => [place(tool), completionScript(shell, tool)] as const),
    ),
  );
