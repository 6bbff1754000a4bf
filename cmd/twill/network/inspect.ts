/** inspect: prints all about networks, in Docker's keys. */
import type { CniError } from "../../../pkg/cni/error.ts";
import { failureOf } from "../../../pkg/cni/error.ts";
import type { Command } from "../../../pkg/command-line/command.ts";
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
  details: "Networks are named by name, ID, or the beginning of an ID.",
  flags: [],
  examples: ["twill network inspect front"],
  run({ operands, context }) {
    const failures: CniError[] = [];
    const found = onHost(context, ({ networks, runtime, warn }) => {
      const { attachments, unreadable } = listAttachments(runtime.cacheRoot);
      for (const text of unreadable) warn(`not shown: ${text}`);
      return operands.flatMap((operand) => {
        try {
          const network = networkCalled(operand, networks);
          return inspected(
            network,
            attachments.filter(({ networkName }) => networkName === network.name),
          );
        } catch (error) {
          failures.push(failureOf(error));
          return [];
        }
      });
    });
    context.streams.stdout(`${JSON.stringify(found, null, 4)}\n`);
    for (const { message } of failures) context.streams.stderr(`twill network: ${message}\n`);
    return failures.length === 0 ? 0 : 1;
  },
};

/** Returns Docker's object. */
export function inspected(network: NetworkDefinition, attachments: readonly NetworkAttachment[]): object {
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

const configOf = ({ subnet, ipRange, gateway, auxiliaryAddresses }: SubnetConf): object => ({
  Subnet: subnet,
  ...(ipRange !== undefined && { IPRange: ipRange }),
  ...(gateway !== undefined && { Gateway: gateway }),
  ...(auxiliaryAddresses !== undefined && { AuxiliaryAddresses: auxiliaryAddresses }),
});
