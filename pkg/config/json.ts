/**
 * JSON as people write it into configuration files: errors are reported with line and column, and the position of each key and
 * value is known.
 *
 * `parseJson` is fast, since the engine parses; `readJson` keeps positions and duplicates in their order, for error messages and
 * for `cnitool validate`. Pure.
 */

import { foldKey } from "./go-json.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };
/** The path from a value to a value inside it: keys and indexes. */
export type JsonPath = readonly (string | number)[];

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Prints like Go's encoding/json, which also escapes characters that are unsafe in HTML: other programs compare such texts. */
export function printJson(value: Json, indent: "" | "    "): string {
  return JSON.stringify(value, null, indent)
    .replaceAll("<", "\\u003c")
    .replaceAll(">", "\\u003e")
    .replaceAll("&", "\\u0026")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}

/** Sorts the keys of every object alphabetically, as Go prints maps. */
export function sortKeys(value: Json): Json {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sortKeys(value[key] ?? null)]),
  );
}

/** Formats a value as JSON for a message; a long text is cut. */
export function showJson(value: Json): string {
  const text = JSON.stringify(value);
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}
const longestShown = 60;

/** Formats a path for a message: `ipam.ranges[0][1].subnet`. */
export function showPath(path: JsonPath): string {
  return path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : text === "" ? step : `${text}.${step}`),
    "",
  );
}

/** Line and column, both from 1; columns are counted in characters. */
export interface Position {
  line: number;
  column: number;
}

/** Length in characters of the longest text that is parsed again to explain an error; `readJson` takes a second for a million. */
const longestExplained = 256 << 10;

/** Deeper than any configuration, and safe for the stack. */
const maxDepth = 256;

export class JsonSyntaxError extends Error {
  readonly position: Position | undefined;
  /** The probable correction, for a frequent mistake. */
  readonly remedy: string | undefined;

  constructor(problem: string, position?: Position, remedy?: string) {
    super(position === undefined ? problem : `line ${position.line}, column ${position.column}: ${problem}`);
    this.name = "JsonSyntaxError";
    this.position = position;
    this.remedy = remedy;
  }
}

/**
 * Parses with the engine's parser, which is fast.
 *
 * @throws JsonSyntaxError, also for a text that is nested too deeply for the engine.
 */
export function parseJson(text: string): Json {
  try {
    return parsed(text);
  } catch (error) {
    const { message } = error as Error;
    if (isStackOverflow(message)) throw new JsonSyntaxError(tooDeep);
    if (text.length > longestExplained) throw new JsonSyntaxError(message);
    return readJson(text).value; // has the better error message
  }
}

const isStackOverflow = (message: string): boolean => message.includes("stack overflow");
const tooDeep = "too many levels of nesting";

/** Parses with the engine; an unpaired surrogate becomes U+FFFD, as in Go, since it could not be written as UTF-8. */
function parsed(text: string): Json {
  const value = JSON.parse(text) as Json;
  return /\\u[dD][89a-fA-F]/.test(text) ? wellFormed(value) : value;
}

function wellFormed(value: Json): Json {
  if (typeof value === "string") return wellFormedText(value);
  if (Array.isArray(value)) return value.map(wellFormed);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [wellFormedText(key), wellFormed(item)]));
}

const wellFormedText = (text: string): string => text.replace(/\p{Surrogate}/gu, "\ufffd");

/** Parses the text of a file that a program keeps for itself. @returns undefined: not an object, or not JSON */
export function objectIn(text: string): JsonObject | undefined {
  try {
    const value = parsed(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // expected: the text is not JSON
  }
}

/** A value with the position where it begins. */
export interface JsonNode {
  value: Json;
  position: Position;
  /** The members of an object, in the order of the text, duplicates included. */
  members?: { key: string; position: Position; node: JsonNode }[];
  /** The items of an array. */
  items?: JsonNode[];
}

/**
 * Returns the text's value and the positions of its parts. Of several members with one key the last counts, and has the last one's
 * place in the order of keys.
 *
 * @throws JsonSyntaxError
 */
export function readJson(text: string): JsonNode {
  try {
    return new Reader(text).document();
  } catch (error) {
    // the limit of the stack may be lower than `maxDepth` needs
    throw isStackOverflow((error as Error).message) ? new JsonSyntaxError(tooDeep) : error;
  }
}

/** Returns the position of a part: that of its key if it has one, in any spelling. Undefined when there is no such part. */
export function positionOf(node: JsonNode, path: JsonPath): Position | undefined {
  let at = node;
  let position = node.position;
  for (const step of path) {
    const member = typeof step === "string" ? membersByKey(at).get(foldKey(step)) : undefined;
    const next = member?.node ?? (typeof step === "number" ? at.items?.[step] : undefined);
    if (next === undefined) return undefined;
    position = member?.position ?? next.position;
    at = next;
  }
  return position;
}

type Member = NonNullable<JsonNode["members"]>[number];

/** Returns an object's members by their folded keys, the last one of each. Made once: a document may have a finding for each of its keys. */
function membersByKey(node: JsonNode): ReadonlyMap<string, Member> {
  const known = folded.get(node);
  if (known !== undefined) return known;
  const byKey = new Map(node.members?.map((member) => [foldKey(member.key), member]));
  folded.set(node, byKey);
  return byKey;
}
const folded = new WeakMap<JsonNode, ReadonlyMap<string, Member>>();

const numberSyntax = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON wants them escaped
const plainCharacters = /[^"\\\u0000-\u001f]*/y;
const whiteSpace = /[ \t\n\r]*/y;
const word = /[\p{L}\p{N}_$.+-]+/uy;
const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

class Reader {
  private readonly text: string;
  private at = 0;
  private depth = 0;
  /** Offsets at which lines begin. */
  private readonly lines: number[] = [0];
  /** Line of the position that was looked up last; the next one is probably near. */
  private line = 1;

  constructor(text: string) {
    this.text = text;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", end + 1)) this.lines.push(end + 1);
  }

  document(): JsonNode {
    if (this.text.startsWith("\ufeff"))
      this.fail("a byte order mark", "save the file as UTF-8 without a byte order mark");
    const node = this.node("a value");
    this.match(whiteSpace);
    if (this.at < this.text.length) this.fail(`${this.found()} after the end of the value`);
    return node;
  }

  private node(wanted: string): JsonNode {
    this.match(whiteSpace);
    const position = this.position(this.at);
    const first = this.text[this.at];
    if (first === "{") return { ...this.nested(() => this.object()), position };
    if (first === "[") return { ...this.nested(() => this.array()), position };
    if (first === '"') return { value: this.string(), position };
    return { value: this.scalar(wanted), position };
  }

  private nested<T>(read: () => T): T {
    if (++this.depth > maxDepth) this.fail(`more than ${maxDepth} levels of nesting`);
    this.at++;
    const result = read();
    this.depth--;
    return result;
  }

  private object(): Omit<JsonNode, "position"> {
    const members: NonNullable<JsonNode["members"]> = [];
    this.list("}", () => {
      const position = this.position(this.at);
      const key = this.key();
      this.match(whiteSpace);
      if (this.text[this.at] !== ":") this.fail(`${this.found()} where ":" is expected after ${JSON.stringify(key)}`);
      this.at++;
      members.push({ key, position, node: this.node(`the value of ${JSON.stringify(key)}`) });
    });
    const byKey = new Map<string, Json>();
    for (const { key, node } of members) {
      byKey.delete(key);
      byKey.set(key, node.value);
    }
    return { value: Object.fromEntries(byKey), members };
  }

  private array(): Omit<JsonNode, "position"> {
    const items: JsonNode[] = [];
    this.list("]", () => items.push(this.node("a value")));
    return { value: items.map(({ value }) => value), items };
  }

  /** Parses items between brackets, separated by commas. */
  private list(end: string, item: () => void): void {
    this.match(whiteSpace);
    if (this.text[this.at] !== end) {
      for (;;) {
        this.match(whiteSpace);
        if (this.text[this.at] === end) this.fail(`${this.found()} after a comma`, "remove the comma before it");
        item();
        this.match(whiteSpace);
        if (this.text[this.at] !== ",") break;
        this.at++;
      }
      if (this.text[this.at] !== end)
        this.fail(
          `${this.found()} where "," or "${end}" is expected`,
          this.at < this.text.length ? "put a comma before it" : undefined,
        );
    }
    this.at++;
  }

  private key(): string {
    if (this.text[this.at] === '"') return this.string();
    const isWord = /[\p{L}_']/u.test(this.text[this.at] ?? "");
    return this.fail(`${this.found()} where a key is expected`, isWord ? "put the key in double quotes" : undefined);
  }

  private string(): string {
    const start = this.at++;
    let value = "";
    for (;;) {
      value += this.match(plainCharacters);
      const next = this.text[this.at];
      if (next === '"') break;
      if (next === undefined || next === "\n" || next === "\r") {
        this.at = start;
        this.fail("a string that does not end on its line", "close it with a double quote");
      }
      value +=
        next === "\\" ? this.escape() : this.fail(`${this.found()} inside a string`, "write it as an escape, as \\t");
    }
    this.at++;
    return wellFormedText(value);
  }

  private escape(): string {
    const kind = this.text[this.at + 1] ?? "";
    const simple = escapes[kind];
    if (simple !== undefined) {
      this.at += 2;
      return simple;
    }
    const digits = this.text.slice(this.at + 2, this.at + 6);
    if (kind !== "u" || !/^[0-9a-fA-F]{4}$/.test(digits))
      this.fail(`${JSON.stringify(`\\${kind}`)} inside a string`, "write a backslash twice");
    this.at += 6;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  private scalar(wanted: string): Json {
    for (const [name, value] of [
      ["null", null],
      ["true", true],
      ["false", false],
    ] as const) {
      if (this.text.startsWith(name, this.at) && this.match(word) === name) return value;
    }
    const start = this.at;
    const digits = this.match(numberSyntax);
    this.at = start;
    if (digits !== "" && this.match(word) === digits) return Number(digits);
    this.at = start;
    return this.fail(`${this.found()} where ${wanted} is expected`, this.usualMistake());
  }

  private usualMistake(): string | undefined {
    const rest = this.text.slice(this.at, this.at + 12);
    if (rest.startsWith("'")) return "use double quotes";
    if (rest.startsWith("//") || rest.startsWith("/*") || rest.startsWith("#"))
      return "remove the comment: JSON has none";
    if (/^(true|false|null)\b/i.test(rest)) return "write true, false and null in lower case";
    return /^[\p{L}_]/u.test(rest) ? "put a text in double quotes" : undefined;
  }

  /** Describes the text at the current offset, for a message. */
  private found(): string {
    const character = this.text[this.at];
    if (character === undefined) return this.text.trim() === "" ? "nothing" : "the end";
    const start = this.at;
    const text = this.match(word) || String.fromCodePoint(this.text.codePointAt(start) ?? 0);
    this.at = start;
    return JSON.stringify(text.length > 20 ? `${text.slice(0, 20)}…` : text);
  }

  /** Returns the text that matches at the current offset, which may be empty, and advances past it. */
  private match(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const [text = ""] = pattern.exec(this.text) ?? [];
    this.at += text.length;
    return text;
  }

  private position(offset: number): Position {
    while ((this.lines[this.line] ?? Number.POSITIVE_INFINITY) <= offset) this.line++;
    while ((this.lines[this.line - 1] ?? 0) > offset) this.line--;
    return { line: this.line, column: offset - (this.lines[this.line - 1] ?? 0) + 1 };
  }

  private fail(problem: string, remedy?: string): never {
    throw new JsonSyntaxError(problem, this.position(this.at), remedy);
  }
}
