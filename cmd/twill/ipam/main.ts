/** `twill ipam`: who has which address. */
import { failureOf } from "../../../pkg/cni/error.ts";
import type { Tool } from "../../../pkg/cni/tool.ts";
import { type Command, type CommandSet, jsonFlag } from "../../../pkg/command-line/command.ts";
import { completionsOf } from "../../../pkg/command-line/completion.ts";
import { helpFor } from "../../../pkg/command-line/help.ts";
import { runCommand } from "../../../pkg/command-line/run-command.ts";
import { printed, table } from "../../../pkg/command-line/table.ts";
import { attachmentState, listReadableAttachments } from "../../../pkg/network/attachment.ts";
import type { NetworkDefinition } from "../../../pkg/network/definition.ts";
import { networkCalled, readNetworks } from "../../../pkg/network/network-directory.ts";
import { type ReservedAddress, reservedAddresses } from "../../../pkg/network/reserved-address.ts";
import { defaultCacheRoot } from "../../../pkg/runtime/result-cache.ts";
import { pluginNetworks } from "../../cnitool/candidates.ts";
import { configDirectory } from "../../cnitool/paths.ts";

export const ipam: Tool = {
  name: "ipam",
  about: "shows who has which address, since when, and whether the container is alive",
  run: (args, context) => runCommand(tool, args, context, () => helpFor(ls, tool.name)),
  complete: (words, context) => completionsOf(words, tool, context),
};

const ls: Command = {
  name: "ls",
  aliases: ["list"],
  operands: "[network …]",
  required: 0,
  most: Number.POSITIVE_INFINITY,
  about: "list the addresses that host-local has given out",
  details: [
    'STATE is that of the container\'s namespace: alive, dead or unknown; "no attachment" where neither a runtime nor twill network',
    "knows of one, so that the address is left over: cnitool gc frees it.",
  ].join("\n"),
  flags: [jsonFlag],
  complete: (_, context) => pluginNetworks(context),
  examples: ["twill ipam ls", "twill ipam ls --json front"],
  run({ operands, flags, context: { streams } }) {
    const all = readNetworks(configDirectory(streams.environment), (text) => streams.stderr(`twill ipam: ${text}\n`));
    const networks = operands.length === 0 ? all : operands.map((name) => networkCalled(name, all));
    const { attachments, unreadable } = listReadableAttachments(defaultCacheRoot);
    const notKnown = [...unreadable];
    const withoutAttachment = unreadable.length > 0 ? "unknown" : "no attachment"; // it may be among what cannot be read
    const byOwner = new Map(attachments.map((one) => [ownerKey(one.networkName, one.containerId, one.ifName), one]));
    const reservedIn = ({ name, list }: NetworkDefinition): ReservedAddress[] => {
      try {
        return list === undefined ? [] : reservedAddresses(list);
      } catch (error) {
        notKnown.push(`network ${name}: ${failureOf(error).message}`);
        return [];
      }
    };
    const rows = networks.flatMap((network) =>
      reservedIn(network).map(({ address, containerId = "", ifName, sinceMs }) => {
        const attachment = byOwner.get(ownerKey(network.name, containerId, ifName ?? ""));
        return {
          Network: network.name,
          Address: address,
          Container: containerId,
          Name: attachment?.containerName ?? "",
          Interface: ifName ?? "",
          Since: new Date(sinceMs).toISOString(),
          State: attachment === undefined ? withoutAttachment : attachmentState(attachment),
        };
      }),
    );
    for (const text of notKnown) streams.stderr(`twill ipam: not known: ${text}\n`);
    const headings = ["NETWORK", "ADDRESS", "NAME", "CONTAINER", "INTERFACE", "SINCE", "STATE"];
    const cells = rows.map((row) => [
      row.Network,
      row.Address,
      row.Name || "-",
      row.Container || "-",
      row.Interface || "-",
      row.Since,
      row.State,
    ]);
    streams.stdout(flags.has("json") ? printed(rows) : table([headings, ...cells]));
    return notKnown.length === 0 ? 0 : 1;
  },
};

const ownerKey = (network: string, containerId: string, ifName: string): string =>
  `${network} ${containerId} ${ifName}`;

const tool: CommandSet = { name: "twill ipam", commands: [ls] };
