/**
 * The part of Go's text/template that people use with `--format`: fields, `range` over lists and maps, `json`, `index`, `len`, and `|`. What is
 * outside of it is refused with its name: a template that does something else than its author meant would be worse. Pure.
 */
import { invalidConf } from "../cni/error.ts";
import { nearest } from "../config/edit-distance.ts";
import { isObject, type Json, type JsonObject } from "../config/json.ts";

export type Template = readonly Node[];

type Node =
  | { kind: "text"; text: string }
  | { kind: "print"; source: string; value: Expression }
  | { kind: "range"; source: string; over: Expression; names: readonly string[]; body: Template };

type Expression =
  | { kind: "field"; of: Expression | undefined; path: readonly string[] }
  | { kind: "variable"; name: string }
  | { kind: "literal"; value: string | number }
  | { kind: "call"; name: string; args: readonly Expression[] };

/** Parses a template; `\t` and `\n` in its text are what they are in Go's programs that take one. @throws CniError 7 */
export function parseTemplate(text: string): Template {
  const parts = text.split(/\{\{(.*?)\}\}/s);
  if (/\{\{/.test(parts.filter((_, i) => i % 2 === 0).join("")))
    throw refused("it has {{ without }}", "close each action with }}");
  const state: Parser = { parts, at: 0 };
  const nodes = parseNodes(state);
  if (state.at < parts.length) throw refused("it has {{end}} without {{range}}", "remove it");
  return nodes;
}

interface Parser {
  /** Text and actions in turn. */
  parts: readonly string[];
  at: number;
}

/** Parses up to the end, or to the `{{end}}` of the ranges around. */
function parseNodes(state: Parser): Node[] {
  const nodes: Node[] = [];
  for (; state.at < state.parts.length; state.at++) {
    const part = state.parts[state.at] ?? "";
    const source = part.replace(/^-?\s+|\s+-?$/g, "").trim();
    if (state.at % 2 === 0) {
      if (part !== "") nodes.push({ kind: "text", text: part.replaceAll("\\t", "\t").replaceAll("\\n", "\n") });
    } else if (source === "end") {
      return nodes; // with no range around, the caller sees that something is left
    } else if (/^range\b/.test(source)) {
      const [, names = "", over = ""] = /^range\s+(?:(\$\w*(?:\s*,\s*\$\w+)?)\s*:=\s*)?(.*)$/s.exec(source) ?? [];
      state.at++;
      const body = parseNodes(state);
      if (state.at >= state.parts.length) throw refused(`{{${source}}} has no {{end}}`, "add it");
      nodes.push({ kind: "range", source, over: parseExpression(over), names: names.match(/\$\w*/g) ?? [], body });
    } else {
      nodes.push({ kind: "print", source, value: parseExpression(source) });
    }
  }
  return nodes;
}

const functions = ["json", "index", "len"];
const TOKEN = /\s*("(?:[^"\\]|\\.)*"|`[^`]*`|\$\w*|\.[\w.]*|\d+|[A-Za-z_]\w*|[()|]|\S)/y;

function tokensOf(source: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(source); match !== null; match = TOKEN.exec(source)) tokens.push(match[1] ?? "");
  return tokens;
}

function parseExpression(source: string): Expression {
  const tokens = tokensOf(source);
  const value = parsePipe(tokens, source);
  if (tokens.length > 0) throw unsupported(tokens[0] ?? "", source);
  return value;
}

function parsePipe(tokens: string[], source: string): Expression {
  let value = parseCommand(tokens, source, undefined);
  while (tokens[0] === "|") {
    tokens.shift();
    value = parseCommand(tokens, source, value);
  }
  return value;
}

/** Parses a function with its arguments, or one operand. @param piped The last argument of the function. */
function parseCommand(tokens: string[], source: string, piped: Expression | undefined): Expression {
  const [first = ""] = tokens;
  if (/^[A-Za-z_]/.test(first)) {
    if (!functions.includes(first)) throw unsupported(first, source);
    tokens.shift();
    const args: Expression[] = [];
    while (tokens.length > 0 && tokens[0] !== "|" && tokens[0] !== ")") args.push(parseOperand(tokens, source));
    return { kind: "call", name: first, args: piped === undefined ? args : [...args, piped] };
  }
  if (piped !== undefined) throw unsupported(first, source);
  return parseOperand(tokens, source);
}

function parseOperand(tokens: string[], source: string): Expression {
  const token = tokens.shift() ?? "";
  if (token === "(") {
    const inner = parsePipe(tokens, source);
    if (tokens.shift() !== ")") throw refused(`{{${source}}} has ( without )`, "add it");
    const following = tokens[0] ?? "";
    if (!/^\.\w/.test(following)) return inner;
    tokens.shift();
    return { kind: "field", of: inner, path: following.slice(1).split(".") };
  }
  if (/^["`]/.test(token))
    return { kind: "literal", value: token[0] === "`" ? token.slice(1, -1) : unquoted(token, source) };
  if (/^\d+$/.test(token)) return { kind: "literal", value: Number(token) };
  if (token.startsWith("$")) {
    const variable: Expression = { kind: "variable", name: token };
    const following = tokens[0] ?? "";
    if (!/^\.\w/.test(following)) return variable;
    tokens.shift();
    return { kind: "field", of: variable, path: following.slice(1).split(".") };
  }
  if (token === ".") return { kind: "field", of: undefined, path: [] };
  if (/^(\.\w+)+$/.test(token)) return { kind: "field", of: undefined, path: token.slice(1).split(".") };
  throw unsupported(token, source);
}

function unquoted(token: string, source: string): string {
  try {
    return JSON.parse(token) as string;
  } catch {
    throw unsupported(token, source);
  }
}

/** Renders a template. @throws CniError 7: it names a field that the value has not */
export function renderTemplate(template: Template, value: JsonObject): string {
  return render(template, { dot: value, variables: new Map([["$", value as Json]]) });
}

interface Scope {
  dot: Json;
  variables: ReadonlyMap<string, Json>;
}

function render(template: Template, scope: Scope): string {
  return template
    .map((node) => {
      if (node.kind === "text") return node.text;
      if (node.kind === "print") return shown(evaluate(node.value, scope, node.source));
      const over = evaluate(node.over, scope, node.source);
      return entriesOf(over, node.source)
        .map(([key, item]) => {
          const [first, second] = node.names;
          const own: [string, Json][] =
            second === undefined
              ? [[first ?? "", item]]
              : [
                  [first ?? "", key],
                  [second, item],
                ];
          return render(node.body, { dot: item, variables: new Map([...scope.variables, ...own]) });
        })
        .join("");
    })
    .join("");
}

/** Returns what `range` goes through: of a map the values in the order of the keys, as Go does. */
function entriesOf(value: Json, source: string): [Json, Json][] {
  if (Array.isArray(value)) return value.map((item, i): [Json, Json] => [i, item]);
  if (isObject(value))
    return Object.keys(value)
      .sort()
      .map((key): [Json, Json] => [key, value[key] ?? null]);
  if (value === null) return [];
  throw refused(`{{${source}}} cannot go through ${JSON.stringify(value)}`, "range takes a list or a map");
}

function evaluate(expression: Expression, scope: Scope, source: string): Json {
  switch (expression.kind) {
    case "literal":
      return expression.value;
    case "variable": {
      const value = scope.variables.get(expression.name);
      if (value !== undefined) return value;
      throw refused(
        `{{${source}}} names ${expression.name}, which nothing sets`,
        "set it with {{range $key, $value := …}}",
      );
    }
    case "field": {
      const from = expression.of === undefined ? scope.dot : evaluate(expression.of, scope, source);
      return expression.path.reduce((value, key) => fieldOf(value, key, source), from);
    }
    case "call": {
      const args = expression.args.map((arg) => evaluate(arg, scope, source));
      return called(expression.name, args, source);
    }
  }
}

const NO_VALUE = "<no value>";

/** Returns a field. A record of fixed keys, which begin with a capital letter, has to have it; a map need not, as in Go. */
function fieldOf(value: Json, key: string, source: string): Json {
  if (isObject(value)) {
    const keys = Object.keys(value);
    const found = Object.hasOwn(value, key) ? value[key] : undefined;
    if (found !== undefined) return found;
    const isMap = !keys.every((name) => /^[A-Z]/.test(name)) || keys.length === 0;
    if (isMap) return NO_VALUE;
    const meant = nearest(key, keys);
    throw refused(
      `{{${source}}} names the field ${key}, which does not exist`,
      meant === undefined ? `use one of ${keys.join(", ")}` : `did you mean ${meant}?`,
    );
  }
  if (value === NO_VALUE) return NO_VALUE;
  throw refused(
    `{{${source}}} wants the field ${key} of ${JSON.stringify(value)}`,
    "only records and maps have fields",
  );
}

function called(name: string, args: readonly Json[], source: string): Json {
  const [value = null, ...keys] = args;
  if (name === "json" && args.length === 1) return JSON.stringify(value);
  if (name === "len" && args.length === 1 && (Array.isArray(value) || isObject(value) || typeof value === "string"))
    return Array.isArray(value) || typeof value === "string" ? value.length : Object.keys(value).length;
  if (name === "index" && keys.length > 0)
    return keys.reduce<Json>((from, key) => {
      if (isObject(from) && typeof key === "string") return from[key] ?? "";
      const item = Array.isArray(from) && typeof key === "number" ? (from[key] as Json | undefined) : undefined;
      if (item !== undefined) return item;
      throw refused(`{{${source}}} has no element ${JSON.stringify(key)}`, "range goes through those that exist");
    }, value);
  throw refused(`{{${source}}} gives ${name} wrong arguments`, "write json VALUE, len LIST, or index LIST NUMBER");
}

/** Formats a value as Go's fmt does. */
function shown(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(shown).join(" ")}]`;
  if (!isObject(value)) return value === null ? NO_VALUE : String(value);
  return `map[${Object.keys(value)
    .sort()
    .map((key) => `${key}:${shown(value[key] ?? null)}`)
    .join(" ")}]`;
}

const unsupported = (token: string, source: string) =>
  refused(
    token === ""
      ? `{{${source}}} is empty or incomplete`
      : `{{${source}}} has ${JSON.stringify(token)}, which is not supported`,
    `there are fields as {{.Name}}, {{range .List}}…{{end}}, and ${functions.join(", ")}; for anything else use --json with jq`,
  );

const refused = (problem: string, remedy: string) => invalidConf(`invalid format: ${problem}`, remedy);
