/**
 * Finds the members of JSON objects as Go's decoder (encoding/json) does, which the reference plugins and flannel read with: a key
 * matches in any case, the last of several spellings counts, null is absent. Pure.
 */

/** Reports whether both keys are the same one. K (Kelvin) and ſ are the only letters outside ASCII that fold to ASCII. */
export const sameKey = (one: string, other: string): boolean =>
  one === other || (one.length === other.length && foldKey(one) === foldKey(other));

/** Returns what keys that Go takes for the same have in common. */
export const foldKey = (key: string): string => key.toLowerCase().replaceAll("ſ", "s");

/** What belongs to each known key, by the key as spelled and by the folded one. For `findKey`. */
export type KeyTable<T> = ReadonlyMap<string, T>;

/** Makes a table. Of two keys that differ in case only, each is found as spelled; other spellings find the folded one, or else the first. */
export function keyTable<T>(entries: readonly (readonly [key: string, value: T])[]): KeyTable<T> {
  const table = new Map(entries);
  for (const [key, value] of entries) if (!table.has(foldKey(key))) table.set(foldKey(key), value);
  return table;
}

/** Looks up a spelling of a key. */
export const findKey = <T>(table: KeyTable<T>, spelling: string): T | undefined =>
  table.get(spelling) ?? table.get(foldKey(spelling));

/** Returns the value of one key of an object. */
export function memberOf<T>(object: Readonly<Record<string, T>>, key: string): T | undefined {
  let found: T | undefined;
  for (const spelling in object) if (sameKey(spelling, key) && object[spelling] !== null) found = object[spelling];
  return found;
}
