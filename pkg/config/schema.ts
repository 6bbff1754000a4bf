/**
 * The keys that every plugin's configuration shares, as JSON schema. A plugin's netconf.ts spreads `netconfProperties` and adds its own:
 *
 *     export const schema = {
 *       type: "object",
 *       properties: { ...netconfProperties, mtu: { type: "integer", minimum: 0, description: "…" } },
 *       additionalProperties: false,
 *     } as const satisfies JsonSchema;
 *     export type BridgeConf = FromSchema<typeof schema>;
 *
 * `additionalProperties: false` means: all keys are known here. Others get a warning with the nearest known key, never an
 * error (the reference plugins ignore them). An object without it is open: other programs use its other keys.
 * `description` is for people: it ends up in messages and documentation, not in the compiled code.
 *
 * @see CNI specification, section 1 "Network configuration format"
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";

export type JsonSchema = Exclude<JSONSchema, boolean>;
export type { FromSchema };

const texts = { type: "array", items: { type: "string" } } as const satisfies JsonSchema;

/** Addresses of name servers are not checked: the reference plugins accept any text. */
export const dnsSchema = {
  type: "object",
  properties: {
    nameservers: texts,
    domain: { type: "string" },
    search: texts,
    options: texts,
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export const routeSchema = {
  type: "object",
  properties: {
    dst: { type: "string", format: "cidr" },
    gw: { type: "string", format: "ip" },
    mtu: { type: "integer", minimum: 0, maximum: 0xffffffff },
    advmss: { type: "integer", minimum: 0, maximum: 0xffffffff },
    priority: { type: "integer", minimum: 0, maximum: 0xffffffff },
    table: { type: "integer", minimum: 0, maximum: 0xffffffff },
    scope: { type: "integer", minimum: 0, maximum: 255 },
  },
  required: ["dst"],
  additionalProperties: false,
} as const satisfies JsonSchema;

/** A MAC address requested for a link that the plugin makes, in any place of the configuration. */
export const macProperty = { type: "string", format: "ethernetMac" } as const satisfies JsonSchema;

/** Keys of plugins that can masquerade the containers' traffic behind the host's address. */
export const masqueradeProperties = {
  ipMasq: { type: "boolean", description: "masquerade traffic that leaves the subnet" },
  ipMasqBackend: {
    type: "string",
    enum: ["iptables", "nftables"],
    description: "backend of masquerade: iptables or nftables; by default the one that the host uses",
  },
} as const satisfies Record<string, JsonSchema>;

/** Requested addresses, from the runtime or in `args`. Each IPAM plugin reads them in its own way. */
export const ipsProperty = { type: "array", items: { type: "string" } } as const satisfies JsonSchema;

/** The `ipam` of plugins that delegate to an IPAM plugin: they use only the type, the other keys are the IPAM plugin's. */
const ipamSchema = {
  type: "object",
  properties: { type: { type: "string", description: "name of the IPAM plugin, found through CNI_PATH" } },
} as const satisfies JsonSchema;

const attachments = {
  type: "array",
  items: {
    type: "object",
    properties: { containerID: { type: "string" }, ifname: { type: "string" } },
    required: ["containerID", "ifname"],
  },
} as const satisfies JsonSchema;

export const netconfProperties = {
  cniVersion: { type: "string" },
  name: { type: "string" },
  type: { type: "string" },
  capabilities: { type: "object", additionalProperties: { type: "boolean" } },
  ipam: ipamSchema,
  dns: dnsSchema,
  prevResult: { type: "object" },
  runtimeConfig: { type: "object" },
  args: { type: "object" },
  "cni.dev/valid-attachments": attachments,
  "cni.dev/attachments": attachments,
} as const satisfies Record<string, JsonSchema>;
