/**
 * Makes a document say what Go's decoder would read in it: keys in any case are the schema's keys, of several spellings the last
 * one counts, null is as good as absent, and so is an empty text where an address or a name is due. Also finds the keys that the
 * schema does not know. Pure.
 */
import { foldKey, isObject, type Json, type JsonObject, type JsonPath, sameKey } from "./json.ts";
import type { JsonSchema } from "./schema.ts";
import { nearest } from "./suggest.ts";

/** What settling needs of a schema, with its keys ready to be looked up; made once, when the program is built. */
export interface Shape {
  /** By the key as the schema spells it, and folded. */
  keys: ReadonlyMap<string, { key: string; shape: Shape }>;
  /** No other keys. */
  isClosed: boolean;
  items: Shape | undefined;
  emptyTextIsAbsent: boolean;
}

/** Where the reference plugins' "not set" is the empty text. Prefixes are not among them: "" is no prefix there either. */
const emptyIsUnset: readonly string[] = ["ip", "mac", "ifname"];

const emptyShape = (emptyTextIsAbsent: boolean): Shape => ({
  keys: new Map(),
  isClosed: false,
  items: undefined,
  emptyTextIsAbsent,
});

/** Most shapes are one of these. */
const anything = emptyShape(false);
const anyText = emptyShape(true);

export function shapeOf(schema: JsonSchema): Shape {
  const { properties, items, additionalProperties, format } = schema;
  const emptyTextIsAbsent = format !== undefined && emptyIsUnset.includes(format);
  if (!properties && !items && additionalProperties === undefined) return emptyTextIsAbsent ? anyText : anything;
  const keys = new Map<string, { key: string; shape: Shape }>();
  for (const [key, property] of Object.entries(properties ?? {})) {
    const entry = { key, shape: shapeOf(property as JsonSchema) };
    keys.set(key, entry).set(foldKey(key), entry);
  }
  return {
    keys,
    isClosed: additionalProperties === false,
    items: items === undefined ? undefined : shapeOf(items as JsonSchema),
    emptyTextIsAbsent,
  };
}

/** A key that its object does not have. */
export interface UnknownKey {
  path: JsonPath;
  /** What it probably should be. */
  suggestion: string | undefined;
}

export interface Normalized {
  value: Json;
  unknownKeys: UnknownKey[];
  /** An object has a key in more than one spelling. Which one comes last is in the text, and in what `readJson` makes of it. */
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

  /** A key of the same object that looks like it, or one of that name in another place. */
  function suggestion(key: string, shape: Shape): string | undefined {
    return nearest(key, names(shape)) ?? placeOf(key, root);
  }

  const value = normalized(document, root, []);
  return { value, unknownKeys, isAmbiguous };
}

/** Whether nothing in it has to be looked at: flat, and every key as the schema spells it. Of lists with a thousand objects, that is all of them. */
function isNormalized(object: JsonObject, { keys }: Shape): boolean {
  for (const key in object) {
    const value = object[key];
    if (typeof value === "object" || value === "" || keys.get(key)?.key !== key) return false;
  }
  return true;
}

/** Keys that runtimes write, also those of later versions. */
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
