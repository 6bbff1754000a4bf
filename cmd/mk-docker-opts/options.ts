/** Parses the command line like the shell's getopts. Pure. */

export interface Options {
  subnetFile: string;
  outputFile: string;
  /** Write a variable for each option of Docker's daemon; `combined`: one for all of them. */
  individual: boolean;
  combined: boolean;
  combinedKey: string;
  /** Whether --ip-masq is written. */
  ipMasq: boolean;
}

export const usage = `Usage: mk-docker-opts [-f FILE] [-d FILE] [-i] [-c] [-m] [-k KEY]

Converts flanneld's subnet file into options for Docker's daemon.

  -f FILE  flanneld's subnet file (/run/flannel/subnet.env)
  -d FILE  file to write the options to (/run/docker_opts.env)
  -i       a variable for each option, as DOCKER_OPT_MTU="--mtu=1450"
  -c       one variable for all options; without -i and -c: both
  -k KEY   name of that variable (DOCKER_OPTS)
  -m       omit --ip-masq, for very old releases of Docker

Example: mk-docker-opts -c && . /run/docker_opts.env && dockerd $DOCKER_OPTS
`;

/** Option letters, and whether a value follows. */
const letters: Readonly<Record<string, { takesValue: boolean }>> = {
  f: { takesValue: true },
  d: { takesValue: true },
  k: { takesValue: true },
  i: { takesValue: false },
  c: { takesValue: false },
  m: { takesValue: false },
};

/** The command line is invalid, or asks for the usage. */
export class WrongUsage extends Error {
  override name = "WrongUsage";
}

/** @throws WrongUsage */
export function readOptions(args: readonly string[]): Options {
  const given = separate(args);
  const everything = !given.has("i") && !given.has("c");
  return {
    subnetFile: given.get("f") ?? "/run/flannel/subnet.env",
    outputFile: given.get("d") ?? "/run/docker_opts.env",
    individual: everything || given.has("i"),
    combined: everything || given.has("c"),
    combinedKey: variableName(given.get("k") ?? "DOCKER_OPTS"),
    ipMasq: !given.has("m"),
  };
}

/** Separates the options. Letters may be combined, and a value may follow its letter directly. The first other word ends them. */
function separate(args: readonly string[]): Map<string, string> {
  const given = new Map<string, string>();
  const rest = [...args];
  for (let word = rest.shift(); word !== undefined && /^-./.test(word) && word !== "--"; word = rest.shift()) {
    for (let at = 1; at < word.length; at++) {
      const letter = word[at] ?? "";
      const option = Object.hasOwn(letters, letter) ? letters[letter] : undefined;
      if (option === undefined)
        throw new WrongUsage(letter === "h" || letter === "?" ? "" : `illegal option -- ${letter}`);
      if (!option.takesValue) {
        given.set(letter, "");
      } else {
        const value = word.slice(at + 1) || rest.shift();
        if (value === undefined) throw new WrongUsage(`option requires an argument -- ${letter}`);
        given.set(letter, value);
        break;
      }
    }
  }
  return given;
}

/** Checks the name, since a shell reads the file. */
function variableName(text: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) return text;
  throw new WrongUsage(`-k is ${JSON.stringify(text)}, must be the name of a variable, as DOCKER_OPTS`);
}
