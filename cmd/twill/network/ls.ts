/** ls: lists the networks of the host. */
import type { Command } from "../../../pkg/command-line/command.ts";
import { table } from "../../../pkg/command-line/table.ts";
import { onHost } from "./surroundings.ts";

export const ls: Command = {
  name: "ls",
  aliases: ["list"],
  operands: "",
  required: 0,
  most: 0,
  about: "list networks",
  details:
    "Lists the networks in the directory of configurations, also those of other programs, and bridge, host and none.",
  flags: [
    { name: "quiet", short: "q", about: "print IDs only" },
    { name: "no-trunc", about: "print whole IDs" },
  ],
  examples: ["twill network ls"],
  run({ flags, context }) {
    const networks = onHost(context, (host) => host.networks);
    const shown = (id: string): string => (flags.has("no-trunc") ? id : shortId(id));
    const rows = networks.map(({ id, name, driver }) => [shown(id), name, driver, "local"]);
    context.streams.stdout(
      flags.has("quiet")
        ? networks.map(({ id }) => `${shown(id)}\n`).join("")
        : table([["NETWORK ID", "NAME", "DRIVER", "SCOPE"], ...rows]),
    );
    return 0;
  },
};

/** Returns the part of an ID that people read and write. */
export const shortId = (id: string): string => id.slice(0, 12);
