/** The schema of the network configuration: flannel's keys and our own. pkg/cluster/lease/network-config.ts interprets them. */
import type { JsonSchema } from "../../pkg/config/schema.ts";

const address = { type: "string", format: "ip" } as const satisfies JsonSchema;

/** linux/if_link.h: 24 bits; with 0 a device would accept packets of any VNI. */
const maxVni = 0xffffff;

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
    Backend: {
      type: "object",
      properties: {
        Type: { type: "string", description: "how packets are sent to other hosts: vxlan, host-gw, alloc" },
        VNI: { type: "integer", minimum: 1, maximum: maxVni, description: "VXLAN network identifier (1)" },
        Port: { type: "integer", minimum: 0, maximum: 65535, description: "UDP port of VXLAN; 0: 8472 (0)" },
        MTU: {
          type: "integer",
          minimum: 0,
          maximum: 65535,
          description: "MTU of the underlying network; 0: the interface's (0)",
        },
        GBP: { type: "boolean", description: "VXLAN group based policy (false)" },
        Learning: { type: "boolean", description: "VXLAN learning of addresses from packets (false)" },
        DirectRouting: { type: "boolean", description: "routes without a tunnel to hosts on the same link (false)" },
        TxChecksum: {
          type: "string",
          enum: ["auto", "on", "off"],
          description: "checksum offload of the VXLAN device; auto: off behind NAT (auto)",
        },
        MacPrefix: { type: "string", description: "for flannel on Windows; no effect" },
        Name: { type: "string", description: "for flannel on Windows; no effect" },
      },
      additionalProperties: false,
      description: 'how packets are sent to other hosts, as {"Type": "vxlan"}',
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;
