/** The output of `flanneld --help`. Pure. */
import { Command, Option } from "commander";
import type { Flag } from "./flag.ts";
import { flags, groups, isFlagName } from "./flags.ts";

const WIDTH = 120;

export function helpText(): string {
  const command = new Command("flanneld")
    .description("Gives this host a subnet of a cluster network, and connects it with the subnets of the other hosts.")
    .usage("[flags]")
    .helpOption(false)
    .configureHelp({ helpWidth: WIDTH, optionTerm: ({ flags }) => flags })
    .addHelpText("after", `\n${environmentAndExamples}`);
  for (const [heading, names] of Object.entries(groups)) {
    for (const name of names.filter(isFlagName)) command.addOption(lineOf(name, flags[name]).helpGroup(heading));
  }
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
  return text;
}

function lineOf(name: string, flag: Flag): Option {
  const option = new Option(`--${name}${flag.value === "" ? "" : ` <${flag.value}>`}`, flag.about);
  const isWorthTelling = flag.default !== "" && flag.default !== false && !Array.isArray(flag.default);
  return isWorthTelling ? option.default(flag.default, String(flag.default)) : option;
}

/** The examples must work when pasted, the second one if an etcd listens. */
const environmentAndExamples = `Each flag may have one dash or two. A switch is turned off with --flag=false; a value follows after "=" or a space.

Environment:
  FLANNELD_<FLAG> sets a flag that is not on the command line: FLANNELD_ETCD_ENDPOINTS for --etcd-endpoints.

Examples:
  flanneld --subnet-dir /tmp/cluster --subnet-file /tmp/cluster/subnet.env --ip-masq
  flanneld --etcd-endpoints http://127.0.0.1:2379 --iface eth0 --ip-masq
  flanneld --status`;
