/**
 * Reads TOML, as container runtimes have it in their configurations. Pure.
 *
 * Numbers that are not plain decimals, dates and times are returned as the text that is written there: nobody here calculates with
 * them. Rejected: a package from npm. Each is larger than this file, and what a file refuses is told here in our words.
 *
 * @see TOML 1.0.0, https://toml.io/en/v1.0.0
 */
import { isObject, type Json, type JsonObject } from "./json.ts";

export class TomlError extends Error {}

interface Source {
  text: string;
  at: number;
}

/** Parses a document. @throws TomlError with the line */
export function parseToml(text: string): JsonObject {
  const root: JsonObject = {};
  const source: Source = { text, at: 0 };
  let table = root;
  try {
    for (skipLines(source); source.at < text.length; skipLines(source)) {
      if (take(source, "[[")) table = appended(root, keyUpTo(source, "]]"));
      else if (take(source, "[")) table = opened(root, keyUpTo(source, "]"));
      else readPair(source, table);
      endLine(source);
    }
    return root;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new TomlError(`line ${text.slice(0, source.at).split("\n").length}: ${error.message}`);
  }
}

/** Without a line, which the caller adds. */
class Refused extends Error {}

function readPair(source: Source, table: JsonObject): void {
  const key = keyUpTo(source, "=");
  skipBlanks(source);
  const inner = opened(table, key.slice(0, -1));
  const last = key.at(-1) ?? "";
  if (Object.hasOwn(inner, last)) throw new Refused(`key ${JSON.stringify(last)} is there twice`);
  set(inner, last, readValue(source));
}

/** Also for a key like `__proto__`, which an assignment would not create. */
function set(table: JsonObject, key: string, value: Json): void {
  Object.defineProperty(table, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Returns the table at a path and makes those that are missing; of a list of tables, the last one. */
function opened(root: JsonObject, path: readonly string[]): JsonObject {
  let table = root;
  for (const key of path) {
    if (!Object.hasOwn(table, key)) set(table, key, {});
    const value = table[key];
    const inner = Array.isArray(value) ? value.at(-1) : value;
    if (!isObject(inner)) throw new Refused(`${JSON.stringify(key)} is a value, not a table`);
    table = inner;
  }
  return table;
}

function appended(root: JsonObject, path: readonly string[]): JsonObject {
  const parent = opened(root, path.slice(0, -1));
  const last = path.at(-1) ?? "";
  if (!Object.hasOwn(parent, last)) set(parent, last, []);
  const list = parent[last];
  if (!Array.isArray(list)) throw new Refused(`${JSON.stringify(last)} is not a list of tables`);
  const table: JsonObject = {};
  list.push(table);
  return table;
}

function keyUpTo(source: Source, end: string): string[] {
  const key: string[] = [];
  for (;;) {
    skipBlanks(source);
    key.push(readKeyPart(source));
    skipBlanks(source);
    if (take(source, end)) return key;
    if (!take(source, ".")) throw new Refused(`${found(source)} where "${end}" should be`);
  }
}

function readKeyPart(source: Source): string {
  const quote = source.text[source.at];
  if (quote === '"' || quote === "'") return readString(source, quote);
  return taken(source, /[A-Za-z0-9_-]+/y) ?? refuse(source, "a key");
}

function readValue(source: Source): Json {
  const first = source.text[source.at] ?? "";
  if (first === '"' || first === "'") {
    const long = first.repeat(3);
    return source.text.startsWith(long, source.at) ? readLongString(source, long) : readString(source, first);
  }
  if (take(source, "[")) return readList(source);
  if (take(source, "{")) return readInlineTable(source);
  const word = taken(source, /[^\s,\]}#]+( \d\d:[^\s,\]}#]+)?/y) ?? refuse(source, "a value");
  if (word === "true" || word === "false") return word === "true";
  if (/^[+-]?(0|[1-9](_?\d)*)(\.\d(_?\d)*)?(e[+-]?\d+)?$/i.test(word)) return Number(word.replaceAll("_", ""));
  if (/^([+-]?(\d|inf$|nan$)|0[xob])/.test(word)) return word;
  throw new Refused(`${JSON.stringify(word)} is not a value: texts need quotes`);
}

function readList(source: Source): Json[] {
  const list: Json[] = [];
  for (;;) {
    skipLines(source);
    if (take(source, "]")) return list;
    list.push(readValue(source));
    skipLines(source);
    if (take(source, "]")) return list;
    if (!take(source, ",")) throw new Refused(`${found(source)} where "," or "]" should be`);
  }
}

function readInlineTable(source: Source): JsonObject {
  const table: JsonObject = {};
  skipBlanks(source);
  if (take(source, "}")) return table;
  for (;;) {
    readPair(source, table);
    skipBlanks(source);
    if (take(source, "}")) return table;
    if (!take(source, ",")) throw new Refused(`${found(source)} where "," or "}" should be`);
  }
}

function readString(source: Source, quote: string): string {
  const body =
    taken(source, quote === '"' ? /"(?:[^"\\\n]|\\.)*"/y : /'[^'\n]*'/y) ??
    refuse(source, "a text with both its quotes");
  return quote === '"' ? unescaped(body.slice(1, -1)) : body.slice(1, -1);
}

function readLongString(source: Source, quotes: string): string {
  const pattern =
    quotes === '"""' ? /"""(?:[^"\\]|\\[\s\S]|"(?!"")|"(?="""))*"""/y : /'''(?:[^']|'(?!'')|'(?='''))*'''/y;
  const body = (taken(source, pattern) ?? refuse(source, "a text that ends")).slice(3, -3).replace(/^\r?\n/, "");
  return quotes === '"""' ? unescaped(body.replace(/\\[ \t]*\r?\n\s*/g, "")) : body;
}

const escapes: Readonly<Record<string, string>> = { b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", '"': '"', "\\": "\\" };

function unescaped(text: string): string {
  return text.replace(/\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])/g, (whole, code: string) => {
    const plain = escapes[code];
    if (plain !== undefined) return plain;
    const point = code.length > 1 ? Number.parseInt(code.slice(1), 16) : Number.NaN;
    if (point <= 0x10ffff) return String.fromCodePoint(point);
    throw new Refused(`${JSON.stringify(whole)} is not an escape`);
  });
}

function take(source: Source, text: string): boolean {
  if (!source.text.startsWith(text, source.at)) return false;
  source.at += text.length;
  return true;
}

/** @param pattern sticky */
function taken(source: Source, pattern: RegExp): string | undefined {
  pattern.lastIndex = source.at;
  const text = pattern.exec(source.text)?.[0];
  source.at += text?.length ?? 0;
  return text;
}

const skipBlanks = (source: Source): unknown => taken(source, /[ \t]*/y);
const skipLines = (source: Source): unknown => taken(source, /(?:\s|#[^\n]*)*/y);

function endLine(source: Source): void {
  taken(source, /[ \t]*(?:#[^\n]*)?/y);
  if (source.at < source.text.length && taken(source, /\r?\n/y) === undefined)
    throw new Refused(`${found(source)} where the line should end`);
}

function refuse(source: Source, wanted: string): never {
  throw new Refused(`${found(source)} where ${wanted} should be`);
}

const found = ({ text, at }: Source): string =>
  at >= text.length ? "the end of the file" : JSON.stringify(text.slice(at, at + 20).split("\n")[0]);
