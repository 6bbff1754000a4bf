/** The keys of all backends, as one schema: a configuration's keys are spelled and checked before its type is known to exist. Pure. */
import type { JsonObject } from "../../config/json.ts";
import type { JsonSchema } from "../../config/schema.ts";
import type { BackendKeys } from "./backend.ts";
import { type BackendTypes, findBackendType } from "./backend-registry.ts";

/** Returns the schema of the `Backend` object. */
export const backendSchema = (types: BackendTypes) =>
  ({
    type: "object",
    properties: {
      Type: { type: "string", description: `how packets are sent to other hosts: ${Object.keys(types).join(", ")}` },
      ...keysOf(types),
    },
    additionalProperties: false,
    description: 'how packets are sent to other hosts, as {"Type": "vxlan"}',
  }) as const satisfies JsonSchema;

/** @throws Error two backends have different schemas for one key, of which only the descriptions may differ */
function keysOf(types: BackendTypes): BackendKeys {
  const keys: Record<string, JsonSchema> = {};
  for (const [type, { keys: own }] of Object.entries(types)) {
    for (const [key, schema] of Object.entries(own)) {
      const { description, ...rules } = schema;
      const { description: before, ...rulesBefore } = keys[key] ?? schema;
      if (JSON.stringify(rules) !== JSON.stringify(rulesBefore))
        throw new Error(
          `backend ${type} has another schema for "${key}" than a backend before it: ${JSON.stringify(rules)}, ${JSON.stringify(rulesBefore)}; use the same, and check the rest where the backend reads its settings`,
        );
      const texts = before === description ? [description] : [before, `with ${type}: ${description}`];
      keys[key] = { ...schema, description: texts.join("; ") };
    }
  }
  return keys;
}

/** Returns warnings about keys that other backends have, and the configured one has not. */
export function ignoredKeys({ type, settings }: { type: string; settings: JsonObject }, types: BackendTypes): string[] {
  const own = findBackendType(types, type)?.keys;
  if (own === undefined) return []; // the type is refused elsewhere
  const names = Object.keys(own);
  const why = names.length === 0 ? "has no settings" : `has ${names.join(", ")}`;
  return Object.keys(settings)
    .filter((key) => !names.includes(key) && Object.hasOwn(keysOf(types), key))
    .map((key) => `key "Backend.${key}" is ignored: backend ${type} ${why}`);
}
