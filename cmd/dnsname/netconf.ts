/** The dnsname plugin's keys. */
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    domainName: { type: "string", description: "domain of the network's names, as dns.podman" },
    runtimeConfig: {
      type: "object",
      properties: {
        aliases: {
          type: "object",
          additionalProperties: { type: "array", items: { type: "string" } },
          description: "further names of the container, by network",
        },
      },
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type DnsnameConf = FromSchema<typeof schema>;
