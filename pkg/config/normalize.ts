/**
 * Converts a document to what Go's decoder would read: keys in any case become the schema's keys, of several spellings the last one
 * counts, null is absent, and so is an empty text where an address or a name is expected. Also finds keys that the schema does not
 * have. Pure.
 */
import { foldKey, isObject, type Json, type JsonObject, type JsonPath, sameKey } from "./json.ts";
import type { JsonSchema } from "./schema.ts";
import { nearest } from "./suggest.ts";

/** The parts of a schema that `normalize` needs, with its keys ready for lookup; made once, when the program is built. */
export interface Shape {
  /** By the key as the schema spells it, and by the folded key. */
  keys: ReadonlyMap<string, { key: string; shape: Shape }>;
  /** Whether other keys are unknown. */
  isClosed: boolean;
  items: Shape | undefined;
  emptyTextIsAbsent: boolean;
}

/** Formats for which the reference plugins read an empty text as not set. "cidr" is not among them: they refuse "" as a prefix, too. */
const emptyIsUnset: readonly string[] = ["ip", "mac", "ifname"];

const emptyShape = (emptyTextIsAbsent: boolean): Shape => ({
  keys: new Map(),
  isClosed: false,
  items: undefined,
  emptyTextIsAbsent,
});

/** Most shapes are one of these two, so they are shared. */
const anything = emptyShape(false);
const anyText = emptyShape(true);

export function shapeOf(schema: JsonSchema): Shape {
  const { properties, items, additionalProperties, format } = schema;
  const emptyTextIsAbsent = format !== undefined && emptyIsUnset.includes(format);
  if (!properties && !items && additionalProperties === undefined) return emptyTextIsAbsent ? anyText : anything;
  const keys = new Map<string, { key: string; shape: Shape }>();
  for (const [key, property] of Object.entries(properties ?? {})) {
    const entry = { key, shape: shapeOf(property as JsonSchema) };
    keys.set(key, entry);
    if (!keys.has(foldKey(key))) keys.set(foldKey(key), entry); // of two that only differ in case, the first takes other spellings
  }
  return {
    keys,
    isClosed: additionalProperties === false,
    items: items === undefined ? undefined : shapeOf(items as JsonSchema),
    emptyTextIsAbsent,
  };
}

/** A key that the schema of its object does not have. */
export interface UnknownKey {
  path: JsonPath;
  /** The key that was probably meant. */
  suggestion: string | undefined;
}

export interface Normalized {
  value: Json;
  unknownKeys: UnknownKey[];
  /** Whether an object has a key in more than one spelling. Which one comes last can be seen in the text only, through `readJson`. */
  isAmbiguous: boolean;
}

export function normalize(document: Json, root: Shape): Normalized {
  const unknownKeys: UnknownKey[] = [];
  let isAmbiguous = false;

  function normalized(value: Json, shape: Shape, path: JsonPath): Json {
    if (Array.isArray(value)) {
      const { items } = shape;
      return items === undefined
        ? value
        : value.map((item, i) =>
            isObject(item) && isNormalized(item, items) ? item : normalized(item, items, [...path, i]),
          );
    }
    return isObject(value) && shape.keys.size > 0 ? members(value, shape, path) : value;
  }

  function members(object: JsonObject, shape: Shape, path: JsonPath): JsonObject {
    if (isNormalized(object, shape)) return object;
    const byKey = new Map<string, Json>();
    for (const [spelling, value] of Object.entries(object)) {
      const known = shape.keys.get(spelling) ?? shape.keys.get(foldKey(spelling));
      if (known === undefined) {
        byKey.set(spelling, value);
        if (shape.isClosed && !isReserved(spelling))
          unknownKeys.push({ path: [...path, spelling], suggestion: suggestion(spelling, shape) });
      } else if (value !== null && !(value === "" && known.shape.emptyTextIsAbsent)) {
        isAmbiguous ||= byKey.has(known.key);
        byKey.set(known.key, normalized(value, known.shape, [...path, known.key]));
      }
    }
    return Object.fromEntries(byKey);
  }

  /** Returns a similar key of the same object, or the path of a key with that name elsewhere in the schema. */
  function suggestion(key: string, shape: Shape): string | undefined {
    return nearest(key, names(shape)) ?? placeOf(key, root);
  }

  const value = normalized(document, root, []);
  return { value, unknownKeys, isAmbiguous };
}

/**
 * Whether an object needs no work: no nested value, every key spelled as in the schema. In a list of a thousand objects, that is
 * true of all.
 */
function isNormalized(object: JsonObject, { keys }: Shape): boolean {
  for (const key in object) {
    const value = object[key];
    if (typeof value === "object" || value === "" || keys.get(key)?.key !== key) return false;
  }
  return true;
}

/** Keys that runtimes write, those of later versions of the specification included. */
const isReserved = (key: string): boolean => key.startsWith("cni.dev/");

const names = (shape: Shape): Set<string> => new Set([...shape.keys.values()].map(({ key }) => key));

function placeOf(wanted: string, shape: Shape, place = ""): string | undefined {
  for (const { key, shape: inner } of shape.keys.values()) {
    if (place !== "" && sameKey(key, wanted)) return `${place}${key}`;
    const found = placeOf(wanted, inner.items ?? inner, `${place}${key}${inner.items === undefined ? "" : "[]"}.`);
    if (found !== undefined) return found;
  }
  return undefined;
}
