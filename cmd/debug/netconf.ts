/** The debug plugin's keys. */
import { type FromSchema, type JsonSchema, netconfProperties } from "../../pkg/config/schema.ts";

const hooks = {
  type: "array",
  items: { type: "array", items: { type: "string" } },
} as const satisfies JsonSchema;

export const schema = {
  type: "object",
  properties: {
    ...netconfProperties,
    cniOutput: { type: "string", description: "file that each call is appended to" },
    addHooks: { ...hooks, description: "commands that ADD runs in the container's namespace, each a list of words" },
    delHooks: { ...hooks, description: "commands that DEL runs" },
    checkHooks: { ...hooks, description: "commands that CHECK runs" },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type DebugConf = FromSchema<typeof schema>;
