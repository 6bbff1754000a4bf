/** The keys of a network list, for `cnitool validate`; each plugin has a schema for its own keys. */
import type { JsonSchema } from "../../pkg/config/schema.ts";

/** A string is allowed, too: the reference library accepts "True". Which strings are valid is checked where lists are loaded. */
const flag = { type: ["boolean", "string"] } as const satisfies JsonSchema;

export const schema = {
  type: "object",
  properties: {
    cniVersion: { type: "string", description: "version of the specification, as 1.1.0" },
    cniVersions: {
      type: "array",
      items: { type: "string" },
      description: "versions to choose from; the highest supported one is used",
    },
    name: {
      type: "string",
      pattern: "^[a-zA-Z0-9][a-zA-Z0-9_.-]*$",
      description: 'a letter or digit, then letters, digits, "_", "." and "-"',
    },
    disableCheck: { ...flag, description: "CHECK succeeds without running the plugins" },
    disableGC: { ...flag, description: "GC succeeds without running the plugins" },
    loadOnlyInlinedPlugins: { ...flag, description: "do not load plugins from the directory with the network's name" },
    twill: { type: "object", description: "what twill network keeps of the network beside its plugins" },
    plugins: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        properties: {
          type: { type: "string", minLength: 1, description: "the plugin's executable" },
          capabilities: { type: "object", additionalProperties: { type: "boolean" } },
        },
        required: ["type"],
      },
    },
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies JsonSchema;
