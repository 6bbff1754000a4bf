/**
 * Parses CNI_ARGS: `K=V;K2=V2`. Pure.
 *
 * As in the reference library, a semicolon at the end and a value with "=" are errors, keys are in upper case, and keys that a
 * plugin does not know are errors unless IgnoreUnknown is true. Every plugin parses the text itself, a delegate too.
 */

import { nearest } from "../config/edit-distance.ts";
import { CniError, ErrorCode } from "./error.ts";

/** Returns the pairs in the order of the text. @throws CniError 4 */
export function readPairs(text: string): [key: string, value: string][] {
  if (text === "") return [];
  return text.split(";").map((piece) => {
    const [key = "", value, ...more] = piece.split("=");
    if (value !== undefined && more.length === 0) return [key, value];
    throw new CniError({
      code: ErrorCode.invalidEnvironment,
      msg: `CNI_ARGS: ARGS: invalid pair ${JSON.stringify(piece)}`,
      details: `CNI_ARGS is ${JSON.stringify(text)}; each part between semicolons must have exactly one "="`,
      remedy: piece === "" ? "remove the semicolon at the end" : "write it as KEY=VALUE",
    });
  });
}

/**
 * Returns the values of the keys that a plugin knows; when a key occurs more than once, its last value counts.
 *
 * @throws CniError 4: the text does not consist of pairs, or has keys that the plugin does not know.
 */
export function readArgs<Key extends string>(text: string, known: readonly Key[]): Partial<Record<Key, string>> {
  const pairs = readPairs(text);
  const unknown = pairs.filter(([key]) => key !== ignoreUnknown && !known.some((name) => name === key));
  const ignore = pairs.filter(([key]) => key === ignoreUnknown).map(([, value]) => isTrue(value));
  if (unknown.length > 0 && ignore.at(-1) !== true) throw unknownArgs(unknown, known);
  return Object.fromEntries(pairs.filter(([key]) => known.some((name) => name === key))) as Partial<
    Record<Key, string>
  >;
}

const ignoreUnknown = "IgnoreUnknown";

function isTrue(value: string): boolean {
  const lower = value.toLowerCase();
  if (lower === "1" || lower === "true") return true;
  if (lower === "0" || lower === "false") return false;
  throw new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `CNI_ARGS: IgnoreUnknown is ${JSON.stringify(value)}, must be 1, true, 0 or false`,
    remedy: "write IgnoreUnknown=1",
  });
}

function unknownArgs(unknown: readonly [string, string][], known: readonly string[]): CniError {
  const meant = nearest(unknown[0]?.[0] ?? "", known);
  return new CniError({
    code: ErrorCode.invalidEnvironment,
    msg: `CNI_ARGS: ARGS: unknown args [${unknown.map(([key, value]) => JSON.stringify(`${key}=${value}`)).join(" ")}]`,
    details: known.length === 0 ? "this plugin has no arguments" : `this plugin has the arguments ${known.join(", ")}`,
    remedy: `${meant === undefined ? "" : `did you mean ${meant}? Or `}add IgnoreUnknown=1 to CNI_ARGS if they are for another plugin`,
  });
}
