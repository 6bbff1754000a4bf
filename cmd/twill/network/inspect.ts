/** inspect: prints all about networks, in Docker's keys. */

import type { CniError } from "../../../pkg/cni/error.ts";
import { failureOf } from "../../../pkg/cni/error.ts";
import type { Command } from "../../../pkg/command-line/command.ts";
import { failureText } from "../../../pkg/command-line/run-command.ts";
import { printableLines } from "../../../pkg/command-line/table.ts";
import { parseTemplate, renderTemplate } from "../../../pkg/command-line/template.ts";
import type { JsonObject } from "../../../pkg/config/json.ts";
import { listReadableAttachments, type NetworkAttachment } from "../../../pkg/network/attachment.ts";
import {
  attachmentDetail,
  type HostView,
  optionalDetails,
  viewOfHost,
} from "../../../pkg/network/attachment-detail.ts";
import { endpointId, type NetworkDefinition, type SubnetConf } from "../../../pkg/network/definition.ts";
import { findLinkProblems, type LinkProblem } from "../../../pkg/network/link-holes.ts";
import { networkCalled } from "../../../pkg/network/network-directory.ts";
import { drawn, type Picture, svgOf } from "../../../pkg/network/picture.ts";
import { type SubnetUsage, subnetUsage } from "../../../pkg/network/reserved-address.ts";
import { cachedAttachment, checkNetwork, type Runtime } from "../../../pkg/runtime/network.ts";
import { parseList } from "../../../pkg/runtime/network-list.ts";
import { replaceFile } from "../../../pkg/sys/file.ts";
import { allNetworks } from "../../cnitool/candidates.ts";
import { pictureOf } from "./network-picture.ts";
import { lookAtHost, onHost } from "./surroundings.ts";

export const inspect: Command = {
  name: "inspect",
  operands: "<network …>",
  required: 1,
  most: Number.POSITIVE_INFINITY,
  about: "print networks and the containers in them as JSON",
  details: [
    "Beside Docker's keys: used and free addresses of each subnet; of each container the interfaces of both ends with their",
    "indexes, namespace, process, published ports, whose it is, and who connected it. --picture and --svg draw that instead.",
    "Networks are named by name, ID, or the beginning of an ID. --format takes fields of that JSON, {{range}}, json, index, len, println,",
    "join, split, upper, lower, title, pad and truncate.",
  ].join("\n"),
  flags: [
    {
      name: "format",
      short: "f",
      value: "TEMPLATE",
      about: "print by a template, as '{{range .IPAM.Config}}{{.Subnet}}{{end}}'",
    },
    {
      name: "check",
      about: "run CHECK of each attachment: Health is ok, or what is wrong with an interface, a rule, or a link",
    },
    {
      name: "picture",
      about: "draw it in plain characters: containers, both ends of their links, the bridge, the way out",
    },
    { name: "svg", value: "FILE", about: "write that drawing into a file, as a picture for browsers" },
    { name: "json", about: "print JSON, as without --format" },
    { name: "verbose", short: "v", about: "as without: all is printed anyway" },
  ],
  complete: (_, context) => allNetworks(context),
  examples: ["twill network inspect front", "twill network inspect --format '{{json .Containers}}' front"],
  run({ operands, flags, context }) {
    const format = flags.get("format");
    const template = format === undefined || format === "json" ? undefined : parseTemplate(format);
    const failures: CniError[] = [];
    const see = flags.has("check") ? onHost : lookAtHost; // CHECK is for root
    const pictures: Picture[] = [];
    const svg = flags.get("svg");
    const isDrawn = flags.has("picture") || svg !== undefined;
    const found = see(context, ({ networks, runtime, warn }) => {
      const { attachments, unreadable } = listReadableAttachments(runtime.cacheRoot);
      for (const text of unreadable) warn(`not shown: ${text}`);
      const view = viewOfHost();
      return operands.flatMap((operand): JsonObject[] => {
        try {
          const network = networkCalled(operand, networks);
          const own = attachments.filter(({ networkName }) => networkName === network.name);
          if (isDrawn) pictures.push(pictureOf(network, own, view));
          const health = flags.has("check") ? healthIn(network, runtime) : undefined;
          return [inspected(network, own, view, health)];
        } catch (error) {
          failures.push(failureOf(error));
          return [];
        }
      });
    });
    if (svg !== undefined) replaceFile(svg, svgOf(pictures), { mode: 0o644 });
    context.streams.stdout(
      isDrawn
        ? flags.has("picture")
          ? pictures.map((picture) => `${drawn(picture)}\n`).join("\n")
          : ""
        : template === undefined
          ? `${printableLines(JSON.stringify(found, null, format === "json" ? undefined : 4))}\n`
          : found.map((network) => `${renderTemplate(template, network, { optional: optionalFields })}\n`).join(""),
    );
    for (const failure of failures) context.streams.stderr(failureText("twill network", failure));
    return failures.length === 0 ? 0 : 1;
  },
};

/** What a subnet has only where it was asked for, and what else may be unknown or absent. Health is not among them: that it was not looked at is to be told. */
const optionalFields = ["IPRange", "Gateway", "AuxiliaryAddresses", "Used", "Free", ...optionalDetails];

/** Returns what runs CHECK of an attachment's plugins, and looks at its links: it tells "ok", or what is wrong. */
function healthIn({ name, driver }: NetworkDefinition, runtime: Runtime): (attachment: NetworkAttachment) => string {
  const problems = driver === "bridge" ? findLinkProblems(name, runtime.cacheRoot) : [];
  return (attachment) => healthOf(attachment, problems, runtime);
}

function healthOf(
  { entry, containerId }: NetworkAttachment,
  problems: readonly LinkProblem[],
  runtime: Runtime,
): string {
  if (entry === undefined) return "the runtime's cache has no entry of it";
  try {
    checkNetwork(parseList(entry.config, "cached configuration"), cachedAttachment(entry), runtime);
    const problem = problems.find(({ containers }) => containers.includes(containerId));
    return problem === undefined ? "ok" : `its links: ${problem.text}; twill reload restores them`;
  } catch (error) {
    return failureOf(error).message;
  }
}

/** Returns Docker's object, with more about addresses and attachments. */
function inspected(
  network: NetworkDefinition,
  attachments: readonly NetworkAttachment[],
  view: HostView,
  health: ((attachment: NetworkAttachment) => string) | undefined,
): JsonObject {
  const { name, id, created, driver, ipv6, ipam, internal, options, labels, list } = network;
  const usage = list === undefined ? [] : subnetUsage(list);
  return {
    Name: name,
    Id: id,
    Created: created,
    Scope: "local",
    Driver: driver,
    EnableIPv6: ipv6,
    IPAM: { Driver: ipam.driver, Options: ipam.options, Config: ipam.config.map((conf) => configOf(conf, usage)) },
    Internal: internal,
    Attachable: network.attachable === true,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: Object.fromEntries(
      attachments.map((attachment) => {
        const { containerId, containerName, ifName, mac, addresses } = attachment;
        const shown = {
          Name: containerName,
          EndpointID: endpointId(id, containerId, ifName),
          MacAddress: mac,
          IPv4Address: addresses.find((address) => !address.includes(":")) ?? "",
          IPv6Address: addresses.find((address) => address.includes(":")) ?? "",
          ...attachmentDetail(attachment, view),
          ...(health !== undefined && { Health: health(attachment) }),
        };
        return [containerId, shown];
      }),
    ),
    Options: options,
    Labels: labels,
  };
}

const configOf = (
  { subnet, ipRange, gateway, auxiliaryAddresses }: SubnetConf,
  usage: readonly SubnetUsage[],
): JsonObject => ({
  Subnet: subnet,
  ...(ipRange !== undefined && { IPRange: ipRange }),
  ...(gateway !== undefined && { Gateway: gateway }),
  ...(auxiliaryAddresses !== undefined && { AuxiliaryAddresses: auxiliaryAddresses }),
  ...countsOf(usage.find((one) => one.subnet === subnet)),
});

/** Numbers that JSON's readers may round are printed as texts. */
function countsOf(usage: SubnetUsage | undefined): JsonObject {
  if (usage === undefined) return {};
  const { used, free } = usage;
  return { Used: used, Free: free <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(free) : String(free) };
}
