/** ls: lists the networks of the host. */
import type { Command } from "../../../pkg/command-line/command.ts";
import { jsonFlag } from "../../../pkg/command-line/command.ts";
import { printed, table } from "../../../pkg/command-line/table.ts";
import { parseTemplate, renderTemplate } from "../../../pkg/command-line/template.ts";
import type { JsonObject } from "../../../pkg/config/json.ts";
import { attachmentState, listReadableAttachments } from "../../../pkg/network/attachment.ts";
import type { NetworkDefinition } from "../../../pkg/network/definition.ts";
import { parseListFilter } from "../../../pkg/network/filter.ts";
import { nowMs } from "../../../pkg/sys/clock.ts";
import { lazy } from "../../../pkg/sys/lazy.ts";
import { lookAtHost } from "./surroundings.ts";

export const ls: Command = {
  name: "ls",
  aliases: ["list"],
  operands: "",
  required: 0,
  most: 0,
  about: "list networks",
  details: [
    "Lists the networks in the directory of configurations, also those of other programs, and bridge, host and none.",
    "Filters: driver=, id=, label=KEY or label=KEY=VALUE, name=, scope=, type=custom or builtin, dangling=true or false.",
    "Fields of --format: ID, Name, Driver, Scope, IPv6, Internal, Labels, CreatedAt; json prints an object for each network.",
  ].join("\n"),
  flags: [
    { name: "filter", short: "f", value: "KEY=VALUE", about: "list only networks that fit" },
    {
      name: "format",
      value: "TEMPLATE",
      about: "print by a template, as '{{.Name}} {{.Driver}}'; 'table …' with a heading",
    },
    jsonFlag,
    { name: "no-trunc", about: "print whole IDs" },
    { name: "quiet", short: "q", about: "print IDs only" },
  ],
  examples: ["twill network ls", "twill network ls --filter driver=bridge --format '{{.Name}}'"],
  run({ flags, values, context }) {
    const filter = parseListFilter(values.get("filter") ?? []);
    const networks = lookAtHost(context, (host) => {
      const used = lazy(() => usedNetworks(host.runtime.cacheRoot));
      const now = nowMs();
      return host.networks.filter((network) => filter(network, { isUsed: () => used().has(network.name), nowMs: now }));
    });
    const shown = (id: string): string => (flags.has("no-trunc") ? id : shortId(id));
    const rows = networks.map((network) => rowOf(network, shown));
    context.streams.stdout(
      flags.has("quiet")
        ? networks.map(({ id }) => `${shown(id)}\n`).join("")
        : flags.has("json")
          ? printed(rows)
          : formatted(rows, flags.get("format") ?? "table {{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}"),
    );
    return 0;
  },
};

/** Returns the names of the networks that a container is, or may be, in. */
function usedNetworks(cacheRoot: string): Set<string> {
  const { attachments } = listReadableAttachments(cacheRoot);
  return new Set(attachments.filter((one) => attachmentState(one) !== "dead").map(({ networkName }) => networkName));
}

/** Returns the part of an ID that people read and write. */
export const shortId = (id: string): string => id.slice(0, 12);

/** The fields that Docker's templates have, all of them texts. */
function rowOf(
  { id, name, driver, ipv6, internal, labels, created }: NetworkDefinition,
  shown: (id: string) => string,
) {
  return {
    CreatedAt: created,
    Driver: driver,
    ID: shown(id),
    IPv6: String(ipv6),
    Internal: String(internal),
    Labels: Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(","),
    Name: name,
    Scope: "local",
  } satisfies JsonObject;
}

/** Docker's headings of the fields. */
const headings = {
  CreatedAt: "CREATED AT",
  Driver: "DRIVER",
  ID: "NETWORK ID",
  IPv6: "IPV6",
  Internal: "INTERNAL",
  Labels: "LABELS",
  Name: "NAME",
  Scope: "SCOPE",
};

function formatted(rows: readonly JsonObject[], format: string): string {
  if (format === "json") return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  const inTable = /^table\s+(.*)$/s.exec(format)?.[1];
  const template = parseTemplate(inTable ?? format);
  const lines = rows.map((row) => renderTemplate(template, row));
  if (inTable === undefined) return lines.map((line) => `${line}\n`).join("");
  return table([renderTemplate(template, headings), ...lines].map((line) => line.split("\t")));
}
