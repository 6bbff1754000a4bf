/**
 * Parses a plugin's configuration: from bytes to a document that fits the plugin's schema, or an error that says where it does not.
 * Pure.
 */

import { nearest } from "../config/edit-distance.ts";
import { formats } from "../config/formats.ts";
import {
  isObject,
  type Json,
  type JsonNode,
  type JsonObject,
  type JsonPath,
  JsonSyntaxError,
  parseJson,
  readJson,
  showJson,
  showPath,
} from "../config/json.ts";
import { type Normalized, normalize } from "../config/normalize.ts";
import type { Shape } from "../config/shape.ts";
import type { UnknownKey } from "../config/unknown-keys.ts";
import { decode } from "../sys/text.ts";
import { CniError, ErrorCode } from "./error.ts";
import type { SchemaError, Validate } from "./plugin.ts";

/** Far above the size of any configuration, and small enough for a node that starts a hundred containers at once. */
export const maxConfigurationBytes = 8 << 20;

export interface Document {
  /** As given. */
  raw: JsonObject;
  /** With keys spelled as in the schema. */
  normalizedConf: JsonObject;
  unknownKeys: readonly UnknownKey[];
}

/** @throws CniError 6: too large, or not a JSON object. */
export function readDocument(bytes: Uint8Array, { shape }: Pick<Validate, "shape">): Document {
  const text = textOf(bytes);
  const { raw, normalizedConf } = explained(() => normalizeText(text, shape));
  return {
    raw: objectOf(raw),
    normalizedConf: objectOf(normalizedConf.value),
    unknownKeys: normalizedConf.unknownKeys,
  };
}

/** Parses any JSON; returns it as given and normalized. @throws JsonSyntaxError */
export function normalizeText(text: string, shape: Shape): { raw: Json; normalizedConf: Normalized } {
  const raw = parseJson(text);
  const normalizedConf = normalize(raw, shape);
  return { raw, normalizedConf: normalizedConf.isAmbiguous ? normalize(readJson(text).value, shape) : normalizedConf };
}

/** Parses a configuration once more, with the positions of its parts and duplicate keys. @throws CniError 6: nested too deeply for that */
export const readPositions = (bytes: Uint8Array): JsonNode => explained(() => readJson(textOf(bytes)));

function textOf(bytes: Uint8Array): string {
  if (bytes.length > maxConfigurationBytes) {
    throw new CniError({
      code: ErrorCode.decoding,
      msg: `the configuration on stdin has more than ${maxConfigurationBytes >> 20} MiB`,
      remedy: "pass a network configuration, a JSON object of a few kilobytes",
    });
  }
  return decode(bytes);
}

function explained<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new CniError({
      code: ErrorCode.decoding,
      msg: `the configuration on stdin is not JSON: ${error.message}`,
      remedy: error.remedy ?? "correct the configuration file; cnitool validate FILE shows the line",
      cause: error,
    });
  }
}

function objectOf(value: Json): JsonObject {
  if (value === null) return {}; // as Go's decoder takes it
  if (isObject(value)) return value;
  throw new CniError({
    code: ErrorCode.decoding,
    msg: `the configuration on stdin is ${showJson(value)}, must be a JSON object`,
    remedy: 'pass a network configuration, as {"cniVersion": "1.1.0", "name": "net", "type": "bridge"}',
  });
}

/** One part of a configuration that does not fit the schema. */
export interface Problem {
  path: JsonPath;
  /** A sentence without full stop, with the path in it. */
  text: string;
  hint: string | undefined;
  /** Whether the value has the right type but is not allowed. */
  isOfValue: boolean;
}

/**
 * Returns the configuration as the plugin's type.
 *
 * @param options.anyValue Check only types: the caller checks values, or they do not matter.
 * @throws CniError 7
 */
export function checkedConf<Conf>(
  { normalizedConf }: Document,
  validate: Validate,
  { anyValue = false }: { anyValue?: boolean } = {},
): Conf {
  const problems = problemsOf(normalizedConf, validate).filter(({ isOfValue }) => !(anyValue && isOfValue));
  const [first, ...others] = problems;
  if (first === undefined) return normalizedConf as Conf;
  const network = typeof normalizedConf["name"] === "string" ? ` of network "${normalizedConf["name"]}"` : "";
  throw new CniError({
    code: ErrorCode.invalidConfig,
    msg: first.text,
    details: [`in the configuration${network}`, ...others.map(({ text }) => `also: ${text}`)].join("; "),
    remedy: first.hint ?? "correct the network's configuration; cnitool validate FILE shows the line",
  });
}

/**
 * Returns the part of the configuration that fits the schema, for DEL: an attachment made with another configuration has to be
 * detached with this one.
 *
 * @param leaveOut Called for each part that is left out; of a list, the whole item.
 */
export function fittingConf<Conf>(
  { normalizedConf }: Document,
  validate: Validate,
  leaveOut: (problem: string) => void,
): Conf {
  let conf: Json = normalizedConf;
  let problems = problemsOf(conf, validate);
  for (const { text } of problems) leaveOut(text);
  while (problems.some(({ path }) => path.length > 0)) {
    const paths = problems.map(({ path }) => path);
    conf = without(conf, paths);
    problems = problemsOf(conf, validate); // a key that was left out may be one that its object needs
  }
  return conf as Conf;
}

/** Returns the value without the parts at these paths. */
function without(value: Json, paths: readonly JsonPath[]): Json {
  const inside = new Map<string | number, JsonPath[]>();
  for (const [first = "", ...rest] of paths) {
    const others = inside.get(first);
    if (others === undefined) inside.set(first, [rest]);
    else others.push(rest);
  }
  if (inside.size === 0) return value;
  const isLeftOut = (step: string | number) => inside.get(step)?.some(({ length }) => length === 0) === true;
  const kept = (step: string | number, part: Json) => without(part, inside.get(step) ?? []);
  if (Array.isArray(value)) return value.flatMap((item, i) => (isLeftOut(i) ? [] : [kept(i, item)]));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) => (isLeftOut(key) ? [] : [[key, kept(key, part)]])),
  );
}

/** Returns what does not fit, in the order of the schema; empty when everything fits. */
export function problemsOf(normalizedConf: Json, { check, schema }: Validate): Problem[] {
  if (check(normalizedConf)) return [];
  const errors = check.errors ?? [];
  const parsedSchema = schema() as JsonObject;
  return errors
    .filter((error) => !isPartOfChoice(error, errors))
    .map((error) => problemOf(error, errors, normalizedConf, parsedSchema));
}

/** Keywords about the shape of a value, not about which values are allowed. */
const ofShape: readonly string[] = ["type", "required", "dependencies"];

/** For a choice that no branch fits, ajv reports why each branch does not, then the choice itself. */
const choices: readonly string[] = ["anyOf", "oneOf"];
const isPartOfChoice = (error: SchemaError, errors: readonly SchemaError[]): boolean =>
  errors.some((choice) => choices.includes(choice.keyword) && isBranch(error, choice));

/** Paths in the schema begin at the part that several configurations share, so the value's path is compared as well. */
const isBranch = (error: SchemaError, choice: SchemaError): boolean =>
  error.schemaPath?.startsWith(`${choice.schemaPath}/`) === true && error.instancePath.startsWith(choice.instancePath);

function problemOf(error: SchemaError, errors: readonly SchemaError[], document: Json, schema: JsonObject): Problem {
  const path = pathOf(error.instancePath, document);
  const value = valueAt(document, path);
  if (error.keyword === "required" || error.keyword === "dependencies") return missing(error, path, schema);
  const allowed = allowedBy(error, errors, schemaOf(schema, path));
  const subject = path.length === 0 ? "the configuration" : `"${showPath(path)}"`;
  return {
    path,
    text: `${subject} is ${showJson(value)}, must be ${allowed}`,
    hint: hintFor(error, value, path),
    isOfValue: isOfValue(error, errors),
  };
}

/** A choice is about the value when one of its branches is. */
const isOfValue = (error: SchemaError, errors: readonly SchemaError[]): boolean =>
  choices.includes(error.keyword)
    ? errors.some((branch) => isBranch(branch, error) && isOfValue(branch, []))
    : !ofShape.includes(error.keyword);

function missing({ params }: SchemaError, path: JsonPath, schema: JsonObject): Problem {
  const key = String(params["missingProperty"]);
  const property = params["property"];
  const needed = typeof property === "string" ? `, "${showPath([...path, property])}" needs it` : "";
  const described = valueAt(schemaOf(schema, path), ["properties", key, "description"]);
  return {
    path,
    text: `"${showPath([...path, key])}" is missing${needed}`,
    isOfValue: false,
    hint: `add it${typeof described === "string" ? `: ${described}` : " to the network's configuration"}`,
  };
}

/** Completes "must be …". @param schema the schema of the value that does not fit */
function allowedBy(error: SchemaError, errors: readonly SchemaError[], schema: JsonObject): string {
  const { keyword, params } = error;
  if (choices.includes(keyword)) {
    const branches = errors.filter((branch) => isBranch(branch, error));
    return [...new Set(branches.map((branch) => allowedBy(branch, [], schema)))].join(" or ");
  }
  return allowed[keyword]?.(params, schema) ?? `as ${keyword} of the schema says`;
}

const allowed: Readonly<Record<string, (params: SchemaError["params"], schema: JsonObject) => string>> = {
  type: ({ type }) =>
    [type]
      .flat()
      .map((name) => typeNames[String(name)] ?? name)
      .join(" or "),
  enum: ({ allowedValues }) => `one of ${(allowedValues as Json[]).map((value) => JSON.stringify(value)).join(", ")}`,
  const: ({ allowedValue }) => JSON.stringify(allowedValue),
  format: ({ format }) => formats[format as keyof typeof formats].allowed,
  pattern: ({ pattern }, { description }) => `${description ?? "a text"} (matching ${pattern})`,
  minimum: numberRange,
  maximum: numberRange,
  minItems: ({ limit }) => `a list of at least ${limit}`,
  maxItems: ({ limit }) => `a list of at most ${limit}`,
  minLength: ({ limit }) => (limit === 1 ? "a text that is not empty" : `a text of at least ${limit} characters`),
  maxLength: ({ limit }) => `a text of at most ${limit} characters`,
  uniqueItems: () => "a list without duplicates",
};

function numberRange({ comparison, limit }: SchemaError["params"], { minimum, maximum }: JsonObject): string {
  if (minimum === undefined && maximum === undefined) return `at ${comparison === ">=" ? "least" : "most"} ${limit}`;
  if (maximum === undefined) return `at least ${minimum}`;
  return minimum === undefined ? `at most ${maximum}` : `from ${minimum} to ${maximum}`;
}

const typeNames: Readonly<Record<string, string>> = {
  string: "a string",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
};

/** Says what to do about the most frequent mistakes. */
function hintFor({ keyword, params }: SchemaError, value: Json, path: JsonPath): string | undefined {
  const key = path.at(-1);
  const written = (text: string): string => (typeof key === "string" ? `"${key}": ${text}` : text);
  const types = [params["type"]].flat();
  if (keyword === "type" && typeof value === "string") {
    const isNumber = types.some((type) => type === "integer" || type === "number") && value.trim() !== "";
    if ((isNumber && Number.isFinite(Number(value))) || (types.includes("boolean") && /^(true|false)$/i.test(value)))
      return `write it without quotes: ${written(value.toLowerCase().trim())}`;
  }
  if (keyword === "type" && types.includes("string") && ["number", "boolean"].includes(typeof value))
    return `write it with quotes: ${written(`"${value}"`)}`;
  if (keyword === "type" && types.includes("array") && value !== null)
    return `put it in brackets: ${written(`[${showJson(value)}]`)}`;
  if (keyword === "enum" && typeof value === "string") {
    const names = (params["allowedValues"] as Json[]).filter((name) => typeof name === "string");
    const meant = nearest(value, names);
    return meant && `did you mean "${meant}"?`;
  }
  return undefined;
}

/** Parses a JSON pointer: `~1` is `/`, `~0` is `~`. */
function pathOf(pointer: string, document: Json): JsonPath {
  const path: (string | number)[] = [];
  for (const step of pointer.split("/").slice(1)) {
    const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
    path.push(Array.isArray(valueAt(document, path)) ? Number(key) : key);
  }
  return path;
}

function valueAt(document: Json, path: JsonPath): Json {
  let at: Json | undefined = document;
  for (const step of path) at = Array.isArray(at) ? at[Number(step)] : isObject(at) ? at[step] : undefined;
  return at ?? null;
}

/** Returns the schema of the value at `path`. */
function schemaOf(schema: JsonObject, path: JsonPath): JsonObject {
  let at: JsonObject = schema;
  for (const step of path) {
    const { properties, items, additionalProperties } = at;
    const part =
      typeof step === "number" ? items : ((isObject(properties) && properties[step]) ?? additionalProperties);
    at = isObject(part) ? part : {};
  }
  return at;
}
