/** Keys that a schema does not have: which key was probably meant ("did you mean …?"), and the warning about it. Pure. */
import { nearest } from "./edit-distance.ts";
import { sameKey } from "./go-json.ts";
import { type JsonPath, showPath } from "./json.ts";
import type { Shape } from "./shape.ts";

/** A key that the schema of its object does not have. */
export interface UnknownKey {
  path: JsonPath;
  /** The key that was probably meant. */
  suggestion: string | undefined;
}

/** Returns a similar key of the same object, or the path of a key with that name elsewhere in the schema. */
export function suggestionFor(key: string, { shape, root }: { shape: Shape; root: Shape }): string | undefined {
  return nearest(key, names(shape)) ?? pathOf(key, root);
}

/** Formats the warning for stderr about a key that is ignored, probably not as its author intended. */
export function unknownKeyWarning({ path, suggestion }: UnknownKey): string {
  const meant = suggestion === undefined ? "" : `; did you mean "${suggestion}"?`;
  return `unknown key "${showPath(path)}" is ignored${meant}`;
}

const names = (shape: Shape): Set<string> => new Set([...shape.keys.values()].map(({ key }) => key));

function pathOf(wanted: string, shape: Shape, parent = ""): string | undefined {
  for (const { key, shape: inner } of shape.keys.values()) {
    if (parent !== "" && sameKey(key, wanted)) return `${parent}${key}`;
    const found = pathOf(wanted, inner.items ?? inner, `${parent}${key}${inner.items === undefined ? "" : "[]"}.`);
    if (found !== undefined) return found;
  }
  return undefined;
}
