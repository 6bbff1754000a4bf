/** The keys of a schema, ready for looking up those of a document. */
import { type KeyTable, keyTable } from "./go-json.ts";
import type { JsonSchema } from "./schema.ts";

/** The parts of a schema that `normalize` needs, with its keys ready for lookup; made once, when the program is built. */
export interface Shape {
  keys: KeyTable<Member>;
  /** Whether other keys are unknown. */
  isClosed: boolean;
  /** Whether its keys are data, and all values of one type. */
  isMap: boolean;
  items: Shape | undefined;
  emptyTextIsAbsent: boolean;
}

/** A known key of an object, and what its value looks like. */
interface Member {
  key: string;
  shape: Shape;
}

/** Formats for which the reference plugins read an empty text as not set. "cidr" is not among them: they refuse "" as a prefix, too. */
const emptyIsUnset: readonly string[] = ["ip", "mac", "interfaceMac", "ethernetMac", "ifname", "linkName"];

const emptyShape = (emptyTextIsAbsent: boolean): Shape => ({
  keys: new Map(),
  isClosed: false,
  isMap: false,
  items: undefined,
  emptyTextIsAbsent,
});

/** Most shapes are one of these two, so they are shared. */
const anything = emptyShape(false);
const anyText = emptyShape(true);

/** @param members Those of other schemas, by key and schema: what schemas have in common is made once. */
export function shapeOf(schema: JsonSchema, members = new Map<string, Member>()): Shape {
  const { properties, items, additionalProperties, format } = schema;
  const emptyTextIsAbsent = format !== undefined && emptyIsUnset.includes(format);
  if (!properties && !items && additionalProperties === undefined) return emptyTextIsAbsent ? anyText : anything;
  return {
    keys: keyTable(
      Object.entries(properties ?? {}).map(([key, property]) => [key, memberOf(key, property as JsonSchema, members)]),
    ),
    isClosed: additionalProperties === false,
    isMap: typeof additionalProperties === "object",
    items: items === undefined ? undefined : shapeOf(items as JsonSchema, members),
    emptyTextIsAbsent,
  };
}

function memberOf(key: string, schema: JsonSchema, members: Map<string, Member>): Member {
  const text = JSON.stringify([key, schema]);
  const member = members.get(text) ?? { key, shape: shapeOf(schema, members) };
  members.set(text, member);
  return member;
}
