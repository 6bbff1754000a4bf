/** ls: lists the networks of the host. */
import type { Command } from "../../../pkg/command-line/command.ts";
import { jsonFlag } from "../../../pkg/command-line/command.ts";
import { compareNaturally } from "../../../pkg/command-line/natural-order.ts";
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
    'Fields of --format: ID, Name, Driver, Scope, IPv6, Internal, Labels, CreatedAt, and .Label "KEY"; json prints an object for each network.',
    "Values of id and name are regular expressions, which fit anywhere: name=^front$ is front alone.",
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
      return host.networks
        .filter((network) => filter(network, { isUsed: () => used().has(network.name), nowMs: now }))
        .sort((one, other) => compareNaturally(one.name, other.name));
    });
    const shown = (id: string): string => (flags.has("no-trunc") ? id : shortId(id));
    const rows = networks.map((network) => ({ fields: rowOf(network, shown), labels: network.labels }));
    context.streams.stdout(
      flags.has("json")
        ? printed(rows.map(({ fields }) => fields))
        : formatted(rows, formatOf(flags.get("format"), flags.has("quiet"))),
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

interface Row {
  fields: JsonObject;
  labels: Readonly<Record<string, string>>;
}

/** Returns the template for a --format, where one of Docker's words stands for it; one that is given goes before --quiet. */
function formatOf(format: string | undefined, isQuiet: boolean): string {
  if (format === "raw")
    return isQuiet
      ? "network_id: {{.ID}}"
      : "network_id: {{.ID}}\\nname: {{.Name}}\\ndriver: {{.Driver}}\\nscope: {{.Scope}}\\n";
  if (format !== undefined && format !== "" && format !== "table") return format;
  return isQuiet ? "{{.ID}}" : "table {{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}";
}

/** The fields that Docker's templates have, all of them texts. */
function rowOf(
  { id, name, driver, ipv6, internal, labels, created }: NetworkDefinition,
  shown: (id: string) => string,
) {
  return {
    CreatedAt: created.replace(/^(\S+)T(\S+)Z$/, "$1 $2 +0000 UTC"), // as Go prints a moment
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

function formatted(rows: readonly Row[], format: string): string {
  if (format === "json") return rows.map(({ fields }) => `${JSON.stringify(fields)}\n`).join("");
  const inTable = /^table\s+(.*)$/s.exec(format)?.[1];
  const template = parseTemplate(inTable ?? format);
  const lines = rows.map(({ fields, labels }) =>
    renderTemplate(template, fields, {
      methods: { Label: (key) => (Object.hasOwn(labels, key) ? (labels[key] ?? "") : "") },
    }),
  );
  if (inTable === undefined) return lines.map((line) => `${line}\n`).join("");
  const heading = renderTemplate(template, headings, { methods: { Label: headingOf }, isHeading: true });
  return table([heading, ...lines].map((line) => line.split("\t")));
}

/** Returns Docker's heading of a label: the part of its key behind the last dot. */
const headingOf = (key: string): string => key.slice(key.lastIndexOf(".") + 1).replaceAll(/[-_]/g, " ");
