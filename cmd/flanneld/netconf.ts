/** The schema of the network configuration: flannel's keys and our own. pkg/cluster/lease/network-config.ts interprets them. */
import type { JsonSchema } from "../../pkg/config/schema.ts";
import { backendTypes } from "../../pkg/flannel/backend/backend-registry.ts";
import { backendSchema } from "../../pkg/flannel/backend/backend-schema.ts";

const address = { type: "string", format: "ip" } as const satisfies JsonSchema;

export const schema = {
  type: "object",
  properties: {
    EnableIPv4: { type: "boolean", description: "lease IPv4 subnets (true)" },
    EnableIPv6: { type: "boolean", description: "lease IPv6 subnets (false)" },
    EnableNFTables: { type: "boolean", description: "rules with nftables instead of iptables (false)" },
    Network: { type: "string", format: "cidr", description: "the IPv4 network of all containers, as 10.244.0.0/16" },
    SubnetLen: {
      type: "integer",
      description: "prefix length of each host's subnet (24, or longer in small networks)",
    },
    SubnetMin: { ...address, description: "first subnet that is leased (the second of the network)" },
    SubnetMax: { ...address, description: "last subnet that is leased (the last of the network)" },
    IPv6Network: { type: "string", format: "cidr", description: "the IPv6 network of all containers, as fd00:10::/48" },
    IPv6SubnetLen: {
      type: "integer",
      description: "prefix length of each host's subnet (64, or longer in small networks)",
    },
    IPv6SubnetMin: { ...address, description: "first subnet that is leased (the second of the network)" },
    IPv6SubnetMax: { ...address, description: "last subnet that is leased (the last of the network)" },
    NoMasqueradeCIDRs: {
      type: "array",
      items: { type: "string", format: "cidr" },
      description: "destinations, IPv4 or IPv6, to which traffic is not masqueraded",
    },
    Backend: backendSchema(backendTypes),
  },
  additionalProperties: false,
} as const satisfies JsonSchema;
