/**
 * Converts a document to what Go's decoder would read (go-json.ts): keys become the schema's. An empty text is absent where an address
 * or a name is expected. Also finds keys that the schema does not have. Pure.
 */
import { findKey } from "./go-json.ts";
import { isObject, type Json, type JsonObject, type JsonPath } from "./json.ts";
import type { Shape } from "./shape.ts";
import { suggestionFor, type UnknownKey } from "./unknown-keys.ts";

export interface Normalized {
  value: Json;
  unknownKeys: UnknownKey[];
  /** Whether an object has a key in more than one spelling. Which one comes last can be seen in the text only, through `readJson`. */
  isAmbiguous: boolean;
}

/** The number of unknown keys that are compared with all known ones: a document with more of them is for something else. */
const MOST_SUGGESTIONS = 100;

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
    if (!isObject(value)) return value;
    if (shape.isMap) return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null));
    return shape.keys.size > 0 ? members(value, shape, path) : value;
  }

  function members(object: JsonObject, shape: Shape, path: JsonPath): JsonObject {
    if (isNormalized(object, shape)) return object;
    const byKey = new Map<string, Json>();
    for (const spelling in object) {
      const value = object[spelling] as Json;
      const known = findKey(shape.keys, spelling);
      if (known === undefined) {
        byKey.set(spelling, value);
        if (shape.isClosed && !isReserved(spelling))
          unknownKeys.push({ path: [...path, spelling], suggestion: suggested(spelling, shape) });
      } else if (value !== null && !(value === "" && known.shape.emptyTextIsAbsent)) {
        isAmbiguous ||= byKey.has(known.key);
        byKey.set(known.key, normalized(value, known.shape, [...path, known.key]));
      }
    }
    return Object.fromEntries(byKey);
  }

  function suggested(spelling: string, shape: Shape): string | undefined {
    return unknownKeys.length < MOST_SUGGESTIONS ? suggestionFor(spelling, { shape, root }) : undefined;
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
