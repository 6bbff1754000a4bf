/** inspect: prints all about networks, in Docker's keys. */
import type { CniError } from "../../../pkg/cni/error.ts";
import { failureOf } from "../../../pkg/cni/error.ts";
import type { Command } from "../../../pkg/command-line/command.ts";
import { parseTemplate, renderTemplate } from "../../../pkg/command-line/template.ts";
import type { JsonObject } from "../../../pkg/config/json.ts";
import { listAttachments, type NetworkAttachment } from "../../../pkg/network/attachment.ts";
import { endpointId, type NetworkDefinition, type SubnetConf } from "../../../pkg/network/definition.ts";
import { networkCalled } from "../../../pkg/network/network-directory.ts";
import { onHost } from "./surroundings.ts";

export const inspect: Command = {
  name: "inspect",
  operands: "<network …>",
  required: 1,
  most: Number.POSITIVE_INFINITY,
  about: "print networks and the containers in them as JSON",
  details: [
    "Networks are named by name, ID, or the beginning of an ID. --format takes fields of that JSON, {{range}}, json, index and len.",
  ].join("\n"),
  flags: [
    {
      name: "format",
      short: "f",
      value: "TEMPLATE",
      about: "print by a template, as '{{range .IPAM.Config}}{{.Subnet}}{{end}}'",
    },
    { name: "json", about: "print JSON, as without --format" },
  ],
  examples: ["twill network inspect front", "twill network inspect --format '{{json .Containers}}' front"],
  run({ operands, flags, context }) {
    const format = flags.get("format");
    const template = format === undefined || format === "json" ? undefined : parseTemplate(format);
    const failures: CniError[] = [];
    const found = onHost(context, ({ networks, runtime, warn }) => {
      const { attachments, unreadable } = listAttachments(runtime.cacheRoot);
      for (const text of unreadable) warn(`not shown: ${text}`);
      return operands.flatMap((operand): JsonObject[] => {
        try {
          const network = networkCalled(operand, networks);
          const own = attachments.filter(({ networkName }) => networkName === network.name);
          return [inspected(network, own)];
        } catch (error) {
          failures.push(failureOf(error));
          return [];
        }
      });
    });
    context.streams.stdout(
      template === undefined
        ? `${JSON.stringify(found, null, format === "json" ? undefined : 4)}\n`
        : found.map((network) => `${renderTemplate(template, network)}\n`).join(""),
    );
    for (const { message } of failures) context.streams.stderr(`twill network: ${message}\n`);
    return failures.length === 0 ? 0 : 1;
  },
};

/** Returns Docker's object. */
export function inspected(network: NetworkDefinition, attachments: readonly NetworkAttachment[]): JsonObject {
  const { name, id, created, driver, ipv6, ipam, internal, options, labels } = network;
  return {
    Name: name,
    Id: id,
    Created: created,
    Scope: "local",
    Driver: driver,
    EnableIPv6: ipv6,
    IPAM: { Driver: ipam.driver, Options: ipam.options, Config: ipam.config.map(configOf) },
    Internal: internal,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: Object.fromEntries(
      attachments.map(({ containerId, containerName, ifName, mac, addresses }) => [
        containerId,
        {
          Name: containerName,
          EndpointID: endpointId(id, containerId, ifName),
          MacAddress: mac,
          IPv4Address: addresses.find((address) => !address.includes(":")) ?? "",
          IPv6Address: addresses.find((address) => address.includes(":")) ?? "",
        },
      ]),
    ),
    Options: options,
    Labels: labels,
  };
}

const configOf = ({ subnet, ipRange, gateway, auxiliaryAddresses }: SubnetConf): JsonObject => ({
  Subnet: subnet,
  ...(ipRange !== undefined && { IPRange: ipRange }),
  ...(gateway !== undefined && { Gateway: gateway }),
  ...(auxiliaryAddresses !== undefined && { AuxiliaryAddresses: auxiliaryAddresses }),
});
