/** prune: removes all networks that nothing is attached to. */
import type { Command } from "../../../pkg/command-line/command.ts";
import { failureText } from "../../../pkg/command-line/run-command.ts";
import { isPredefined } from "../../../pkg/network/definition.ts";
import { parsePruneFilter } from "../../../pkg/network/filter.ts";
import { nowMs } from "../../../pkg/sys/clock.ts";
import { readLine } from "../../../pkg/sys/file.ts";
import { standardInput } from "../../../pkg/sys/process.ts";
import { remove, usersOf } from "./rm.ts";
import { onHost } from "./surroundings.ts";

export const prune: Command = {
  name: "prune",
  operands: "",
  required: 0,
  most: 0,
  about: "remove all networks that no container is in",
  details: [
    "Removes networks that twill network has created and that no container is, or may be, in; never those of other programs.",
    "It asks first, and takes the answer from stdin. Filters: until=24h (created before), label=KEY, label!=KEY=VALUE.",
  ].join("\n"),
  flags: [
    { name: "force", short: "f", about: "do not ask" },
    { name: "filter", value: "KEY=VALUE", about: "remove only networks that fit" },
  ],
  examples: ["twill network prune --force --filter until=24h"],
  run({ flags, values, context }) {
    const { stdout, stderr } = context.streams;
    const filter = parsePruneFilter(values.get("filter") ?? []);
    if (!flags.has("force")) {
      stdout(`${WARNING} [y/N] `);
      if (!/^y(es)?$/i.test(readLine(standardInput, "stdin").trim())) return 0;
    }
    const removed: string[] = [];
    let failed = false;
    onHost(context, (host) => {
      for (const network of host.networks) {
        if (
          isPredefined(network) ||
          network.created === "" ||
          !filter(network, { isUsed: () => false, nowMs: nowMs() })
        )
          continue;
        if (usersOf(network, host.runtime.cacheRoot).users.length > 0) continue;
        try {
          remove(network, host);
          removed.push(network.name);
        } catch (error) {
          failed = true;
          stderr(failureText("twill network", error));
        }
      }
    });
    if (removed.length > 0) stdout(`Deleted Networks:\n${removed.map((name) => `${name}\n`).join("")}\n`);
    return failed ? 1 : 0;
  },
};

const WARNING =
  "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?";
