/** Translates regular expressions of Go (RE2), which flannel's `--iface-regex` has, to JavaScript's. Pure. */

/** A regular expression on names and addresses of interfaces. */
export type InterfaceRegexp = Pick<RegExp, "source" | "test">;

/** The expression has something that JavaScript's have not. `message` names it, with what to write instead. */
class UntranslatableRegexp extends Error {
  override name = "UntranslatableRegexp";
}

/**
 * Returns an expression that matches what Go's does; its `source` is as written. JavaScript's own syntax beyond Go's, such as lookahead,
 * is left as it is.
 *
 * @throws UntranslatableRegexp; SyntaxError it is no regular expression
 */
export function goRegexp(text: string): InterfaceRegexp {
  const [, letters = "", pattern = ""] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(text) ?? [];
  let translated = "";
  for (let rest = pattern; rest !== ""; ) {
    const [length, js] = nextOf(rest);
    translated += js;
    rest = rest.slice(length);
  }
  const regexp = new RegExp(translated, `u${letters}`);
  return { source: text, test: (subject) => regexp.test(subject) };
}

/** The length of a part of the expression, and its translation. */
type Part = readonly [length: number, js: string];

function nextOf(rest: string): Part {
  if (rest.startsWith("\\")) return escaped(rest);
  if (rest.startsWith("[")) return characterClass(rest);
  if (rest.startsWith("(?P<") || rest.startsWith("(?<")) return [rest.indexOf("<"), "(?"];
  const [group] = /^\(\?(?![:=!])/.exec(rest) ?? [];
  if (group) throw new UntranslatableRegexp(`${rest.slice(0, 4)} is only understood as (?i), (?m) or (?s) in front`);
  if (/^(?:\{(?!\d+(?:,\d*)?\})|[}\]])/.test(rest)) return [1, `\\${rest[0]}`]; // taken literally where it opens and closes nothing
  const [repetition] = /^\{\d+(?:,\d*)?\}/.exec(rest) ?? [];
  return repetition ? [repetition.length, repetition] : one(rest);
}

function one(rest: string): Part {
  const [character = ""] = rest; // not half of a surrogate pair
  return [character.length, character];
}

/** Translates an escape, which means the same inside of a class. */
function escaped(rest: string, isInClass = false): Part {
  const [, letter = ""] = rest;
  if (letter === "Q" && !isInClass) return quoted(rest);
  const [number, hex, braced] = /^\\x(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]+)\})/.exec(rest) ?? [];
  if (number) return [number.length, `\\u{${hex ?? braced}}`];
  const [octal] = /^\\(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/.exec(rest) ?? [];
  if (octal) return [octal.length, `\\u{${Number.parseInt(octal.slice(1), 8).toString(16)}}`];
  const property = unicodeProperty(rest);
  if (property) return property;
  if (!isInClass && letter === "A") return [2, "(?<![^])"];
  if (!isInClass && letter === "z") return [2, "(?![^])"];
  if (letter === "a") return [2, "\\x07"];
  if (/[dDsSwWfnrtv]/.test(letter) || (!isInClass && /[bB]/.test(letter))) return [2, `\\${letter}`];
  if (/[A-Za-z0-9]/.test(letter))
    throw new UntranslatableRegexp(`\\${letter} is not understood${isInClass ? " in a class" : ""}`);
  const [length, character] = one(rest.slice(1));
  return [1 + length, literal(character)];
}

/** Translates `\pL`, `\p{Lu}`, `\p{^Greek}`. */
function unicodeProperty(rest: string): Part | undefined {
  const [whole, letter = "", short, negation, long = ""] = /^\\([pP])(?:([A-Z])|\{(\^?)(\w+)\})/.exec(rest) ?? [];
  if (whole === undefined) return undefined;
  const isNegated = (letter === "P") !== (negation === "^");
  const name = short ?? (long.length <= 2 ? long : `Script=${long}`);
  return [whole.length, `\\${isNegated ? "P" : "p"}{${name}}`];
}

function quoted(rest: string): Part {
  const [whole = "", text = ""] = /^\\Q(.*?)(?:\\E|$)/s.exec(rest) ?? [];
  return [whole.length, [...text].map(literal).join("")];
}

const literal = (character: string): string =>
  /[\^$\\.*+?()[\]{}|/-]/.test(character) ? hexEscape(character) : character;
const hexEscape = (character: string): string => `\\u{${character.codePointAt(0)?.toString(16)}}`;

/** Translates `[…]`, in which a `]` that comes first is literal, and `[:alpha:]` a class. */
function characterClass(rest: string): Part {
  const [start = ""] = /^\[\^?/.exec(rest) ?? [];
  let at = start.length;
  let js = start;
  for (let isFirst = true; ; isFirst = false) {
    const here = rest.slice(at);
    if (here === "") throw new UntranslatableRegexp(`${rest} has no ] at its end`);
    if (here.startsWith("]") && !isFirst) return [at + 1, `${js}]`];
    const [length, part] = memberOf(here);
    at += length;
    js += part;
  }
}

function memberOf(rest: string): Part {
  if (rest.startsWith("\\")) return escaped(rest, true);
  const [named, negation, name = ""] = /^\[:(\^?)(\w+):\]/.exec(rest) ?? [];
  if (named === undefined) return /^[[\]]/.test(rest) ? [1, `\\${rest[0]}`] : one(rest);
  if (!Object.hasOwn(namedClasses, name)) throw new UntranslatableRegexp(`there is no class ${named}`);
  return [named.length, negation ? complementOf(name) : (namedClasses[name] ?? "")];
}

/** ASCII only, as Go's. */
const namedClasses: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  ascii: "\\x00-\\x7f",
  blank: "\\t ",
  cntrl: "\\x00-\\x1f\\x7f",
  digit: "0-9",
  graph: "!-~",
  lower: "a-z",
  print: " -~",
  punct: "!-\\/:-@\\[-`\\{-~",
  space: "\\t-\\r ",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
};

/** Returns the other characters as ranges: a class inside of a class has no negation in JavaScript. */
function complementOf(name: string): string {
  const members = new RegExp(`[${namedClasses[name]}]`, "u");
  const ranges: string[] = [];
  let from: number | undefined;
  for (let code = 0; code <= LAST_ASCII + 1; code++) {
    const isOut = code <= LAST_ASCII && !members.test(String.fromCharCode(code));
    if (isOut) from ??= code;
    else if (from !== undefined) {
      ranges.push(`\\u{${from.toString(16)}}-\\u{${(code - 1).toString(16)}}`);
      from = undefined;
    }
  }
  return `${ranges.join("")}\\u{80}-\\u{10ffff}`;
}
const LAST_ASCII = 0x7f;
