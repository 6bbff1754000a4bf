/** `twill network`: what Docker's users know as `docker network`, on lists of CNI plugins. */
import type { Tool } from "../../../pkg/cni/tool.ts";
import type { CommandSet } from "../../../pkg/command-line/command.ts";
import { completionsOf } from "../../../pkg/command-line/completion.ts";
import { helpCommand } from "../../../pkg/command-line/help.ts";
import { runCommand } from "../../../pkg/command-line/run-command.ts";
import { columns } from "../../../pkg/command-line/table.ts";
import { connect } from "./connect.ts";
import { create } from "./create.ts";
import { disconnect } from "./disconnect.ts";
import { importNetworks } from "./import.ts";
import { inspect } from "./inspect.ts";
import { ls } from "./ls.ts";
import { prune } from "./prune.ts";
import { rm } from "./rm.ts";

export const network: Tool = {
  name: "network",
  about: "creates and removes networks, and connects running containers to them, as docker network does",
  run: (args, context) => runCommand(tool, args, context, overview),
  complete: (words, context) => completionsOf(words, tool, context),
};

const tool: CommandSet = {
  name: "twill network",
  commands: [
    create,
    ls,
    inspect,
    rm,
    prune,
    connect,
    disconnect,
    importNetworks,
    helpCommand(
      "twill network",
      "create",
      () => tool,
      () => overview(),
    ),
  ],
};

const overview = (): string =>
  [
    "twill network manages the networks of this host. They are lists of CNI plugins, which podman, containerd and nerdctl use as well.",
    "",
    "Usage:",
    "  twill network <command> [arguments]",
    "",
    "Commands:",
    ...columns(tool.commands.map(({ name, about }) => [name, about])),
    "",
    "Environment:",
    ...columns([
      ["CNI_PATH", "directories of plugins, separated by colons"],
      ["NETCONFPATH", "directory of the networks (/etc/cni/net.d)"],
    ]),
    "",
    "twill network help <command> explains a command.",
    "",
  ].join("\n");
