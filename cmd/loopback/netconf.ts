/** The loopback plugin's keys: none of its own. */
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";

export const schema = {
  type: "object",
  properties: netconfProperties,
  additionalProperties: false,
} as const satisfies JsonSchema;

export type LoopbackConf = FromSchema<typeof schema>;
