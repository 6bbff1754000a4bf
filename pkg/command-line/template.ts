/**
 * The part of Go's text/template that people use with `--format`: fields, `range` over lists and maps, `index`, `len`, `println`, `|`, and the functions that
 * Docker adds. What is outside of it is refused with its name: a template that does something else than its author meant would be worse. Pure.
 *
 * @see docker/cli, templates/templates.go: basicFunctions, HeaderFunctions
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
  | { kind: "method"; name: string; arg: Expression }
  | { kind: "call"; name: string; args: readonly Expression[] };

/** Parses a template; `\t` and `\n` in its text are what they are in Go's programs that take one. @throws CniError 7 */
export function parseTemplate(text: string): Template {
  const trimmed = text.replace(/\s*\{\{-(?=\s)/g, "{{").replace(/(?<=\s)-\}\}\s*/g, "}}");
  const parts = trimmed.split(/\{\{(.*?)\}\}/s);
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
    const source = part.trim();
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
    if (!Object.hasOwn(functions, first)) throw unsupported(first, source);
    tokens.shift();
    const args: Expression[] = [];
    while (tokens.length > 0 && tokens[0] !== "|" && tokens[0] !== ")") args.push(parseOperand(tokens, source));
    return { kind: "call", name: first, args: piped === undefined ? args : [...args, piped] };
  }
  if (piped !== undefined) throw unsupported(first, source);
  const operand = parseOperand(tokens, source);
  if (!/^\.\w+$/.test(first) || tokens.length === 0 || tokens[0] === "|" || tokens[0] === ")") return operand;
  return { kind: "method", name: first.slice(1), arg: parseOperand(tokens, source) };
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

/** What a template finds beside the fields of its value. */
export interface TemplateOptions {
  /** Fields that records have only where they are known: else they are printed as nothing. */
  optional?: readonly string[];
  /** What the value answers to a name with a text behind it, as `.Label "tier"`. */
  methods?: Readonly<Record<string, (text: string) => string>>;
  /** The value has headings in the place of its fields: functions that change a text leave them as they are. */
  isHeading?: boolean;
}

/** Renders a template. @throws CniError 7: it names a field that the value has not */
export function renderTemplate(template: Template, value: JsonObject, options: TemplateOptions = {}): string {
  return render(template, { dot: value, variables: new Map([["$", value as Json]]), options });
}

interface Scope {
  dot: Json;
  variables: ReadonlyMap<string, Json>;
  options: TemplateOptions;
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
          return render(node.body, { ...scope, dot: item, variables: new Map([...scope.variables, ...own]) });
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
      return expression.path.reduce((value, key) => fieldOf(value, key, source, scope.options), from);
    }
    case "method": {
      const text = evaluate(expression.arg, scope, source);
      const { methods = {} } = scope.options;
      const method = Object.hasOwn(methods, expression.name) ? methods[expression.name] : undefined;
      if (method !== undefined && typeof text === "string") return method(text);
      throw refused(
        `{{${source}}} gives .${expression.name} an argument, which is not supported`,
        Object.keys(methods).length === 0
          ? "remove it"
          : `with a text behind it there is ${Object.keys(methods).join(", ")}, as in {{.Label "tier"}}`,
      );
    }
    case "call": {
      const args = expression.args.map((arg) => evaluate(arg, scope, source));
      return called(expression.name, args, source, scope.options);
    }
  }
}

const NO_VALUE = "<no value>";

/** Returns a field. A record of fixed keys, which begin with a capital letter, has to have it, unless that is optional; a map need not, as in Go. */
function fieldOf(value: Json, key: string, source: string, { optional = [] }: TemplateOptions): Json {
  if (isObject(value)) {
    const keys = Object.keys(value);
    const found = Object.hasOwn(value, key) ? value[key] : undefined;
    if (found !== undefined) return found;
    const isMap = !keys.every((name) => /^[A-Z]/.test(name)) || keys.length === 0;
    if (isMap) return NO_VALUE;
    if (optional.includes(key)) return "";
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

interface TemplateFunction {
  /** What stands behind its name. */
  usage: string;
  /** Whether it only changes how a value is written, which headings are not. */
  formats?: boolean;
  /** Returns undefined for wrong arguments. */
  call(args: readonly Json[], source: string): Json | undefined;
}

const ofText = (usage: string, change: (text: string) => string): TemplateFunction => ({
  usage,
  formats: true,
  call: ([text, ...more]) => (typeof text === "string" && more.length === 0 ? change(text) : undefined),
});

/** Go's strings.Title: a letter behind a space or a sign that is no "_". */
const FIRST_LETTERS = /(?<=^|[\s!-/:-@[-^`{-~])\S/g;

const functions: Readonly<Record<string, TemplateFunction>> = {
  json: {
    usage: "VALUE",
    formats: true,
    call: (args) => (args.length === 1 ? JSON.stringify(args[0]) : undefined),
  },
  index: { usage: "LIST NUMBER", call: ([value, ...keys], source) => elementOf(value ?? null, keys, source) },
  len: {
    usage: "LIST",
    call([value = null, ...more]) {
      if (more.length > 0) return undefined;
      if (Array.isArray(value) || typeof value === "string") return value.length;
      return isObject(value) ? Object.keys(value).length : undefined;
    },
  },
  println: { usage: "VALUE…", call: (args) => `${args.map(shown).join(" ")}\n` },
  upper: ofText("TEXT", (text) => text.toUpperCase()),
  lower: ofText("TEXT", (text) => text.toLowerCase()),
  title: ofText("TEXT", (text) => text.replace(FIRST_LETTERS, (letter) => letter.toUpperCase())),
  split: {
    usage: "TEXT SEPARATOR",
    formats: true,
    call: ([text, separator, ...more]) =>
      typeof text === "string" && typeof separator === "string" && more.length === 0
        ? text.split(separator)
        : undefined,
  },
  join: {
    usage: "LIST SEPARATOR",
    formats: true,
    call: ([list, separator, ...more]) =>
      Array.isArray(list) && typeof separator === "string" && more.length === 0
        ? list.map(shown).join(separator)
        : undefined,
  },
  pad: {
    usage: "TEXT BEFORE BEHIND",
    formats: true,
    call([text, before, behind, ...more]) {
      if (typeof text !== "string" || typeof before !== "number" || typeof behind !== "number") return undefined;
      return more.length > 0 ? undefined : text && `${" ".repeat(before)}${text}${" ".repeat(behind)}`;
    },
  },
  truncate: {
    usage: "TEXT LENGTH",
    formats: true,
    call: ([text, length, ...more]) =>
      typeof text === "string" && typeof length === "number" && more.length === 0 ? text.slice(0, length) : undefined,
  },
};

function called(name: string, args: readonly Json[], source: string, { isHeading = false }: TemplateOptions): Json {
  const wanted = functions[name];
  if (isHeading && wanted?.formats === true) return args[0] ?? "";
  const value = wanted?.call(args, source);
  if (value !== undefined) return value;
  throw refused(`{{${source}}} gives ${name} wrong arguments`, `write ${name} ${wanted?.usage}`);
}

function elementOf(value: Json, keys: readonly Json[], source: string): Json | undefined {
  if (keys.length === 0) return undefined;
  return keys.reduce<Json>((from, key) => {
    if (isObject(from) && typeof key === "string") return from[key] ?? "";
    const item = Array.isArray(from) && typeof key === "number" ? (from[key] as Json | undefined) : undefined;
    if (item !== undefined) return item;
    throw refused(`{{${source}}} has no element ${JSON.stringify(key)}`, "range goes through those that exist");
  }, value);
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
    `there are fields as {{.Name}}, {{range .List}}…{{end}}, and ${Object.keys(functions).join(", ")}; for anything else use --json with jq`,
  );

const refused = (problem: string, remedy: string) => invalidConf(`invalid format: ${problem}`, remedy);
