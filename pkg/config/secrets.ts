/** What may be secret in configurations, variables and messages, and must not get into a log or a report. Pure. */
import { isObject, type Json, type JsonObject } from "./json.ts";

export const LEFT_OUT = "(left out)";

/** Names whose values are left out: `password`, `DB_PASS`, `apiKey`, `CLIENT_SECRET`, `client-key-data`, `authToken`, `psk` … */
const SECRET_NAME =
  /pass(?:w(?:or)?d|phrase|code)|secret|token|credential|bearer|cookie|psk|(?:^|[-_.])(?:pass|pwd|auth|authorization)(?:$|[-_.])|(?:api|private|access|client|signing|encryption|shared|secret|wg|account|auth)[-_.]?key|key[-_.]?(?:data|pem)|^key$/i;

export const isSecretName = (name: string): boolean => SECRET_NAME.test(name);

/** Returns the value with the values of secret names, and what looks like a secret in texts, left out. */
export function withoutSecrets(value: Json): Json {
  if (typeof value === "string") return variableWithoutSecret(value) ?? textWithoutSecrets(value);
  if (Array.isArray(value)) return value.map(withoutSecrets);
  return isObject(value) ? objectWithoutSecrets(value) : value;
}

function objectWithoutSecrets(object: JsonObject): JsonObject {
  const members = Object.entries(object);
  const names = entryNames(members);
  const hidesValue = names.some(([, name]) => typeof name === "string" && isSecretName(name));
  const isSecret = (key: string): boolean =>
    !names.some(([name]) => name === key) && (isSecretName(key) || (hidesValue && VALUE.test(key)));
  return Object.fromEntries(
    members.map(([key, item]) => [
      key,
      isSecret(key) && item !== null && typeof item !== "boolean" ? LEFT_OUT : withoutSecrets(item),
    ]),
  );
}

/**
 * Returns the members that say what the value of an entry is, as `{"name": "DB_PASSWORD", "value": "x"}` in a list of variables or
 * `{"key": "token", "value": "x"}` in one of labels; none for what is no such entry.
 */
const entryNames = (members: readonly [string, Json][]): readonly [string, Json][] =>
  members.some(([key]) => VALUE.test(key)) ? members.filter(([key]) => ENTRY_NAME.test(key)) : [];

const ENTRY_NAME = /^(?:name|key)$/i;
const VALUE = /^value$/i;

/** Returns a text that is one variable, blanks included, without its value; undefined when it is none, or no secret. */
function variableWithoutSecret(text: string): string | undefined {
  const end = text.indexOf("=");
  const name = text.slice(0, Math.max(end, 0));
  return /^[\w.-]+$/.test(name) && isSecretName(name) ? `${name}=${LEFT_OUT}` : undefined;
}

/**
 * Patterns, with what is put in their place. A text may be long, and written by anybody: each of them takes a time in proportion to it, since
 * a match can only begin where a run of the characters that it repeats begins.
 */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, LEFT_OUT],
  // a JSON web token, as of service accounts
  [/(?<![\w-])(?=[\w-]+\.[\w-])([\w-]*?)eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, `$1${LEFT_OUT}`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${LEFT_OUT}`],
  [/(?<![\w+.-])([\w+.-]+:\/\/)[^\s/@:"']*:[^\s/@"']*@/g, `$1${LEFT_OUT}@`], // https://user:password@host
];

/** Returns a text, as a message or a line of a file, without what looks like a secret. */
export function textWithoutSecrets(text: string): string {
  const args = text.includes("CNI_ARGS") ? withoutArguments(text) : text;
  return withoutVariables(withoutMembers(PATTERNS.reduce((rest, [pattern, by]) => rest.replace(pattern, by), args)));
}

/** Leaves out the values of quoted CNI_ARGS: runtimes put into them what they like. */
const withoutArguments = (text: string): string =>
  text.replace(/"(?:[^"\\]|\\[\s\S])*(?:"|\\?$)/g, (quoted) =>
    quoted.replace(/=(?:[^;"\\]|\\[\s\S]?)+/g, `=${LEFT_OUT}`),
  );

/** The beginning of `"name": "value"` or `"name": 7` in JSON; in JSON that is a string of another one, each quote has backslashes before it. */
const MEMBER = /(?<!\\)(\\*")([^"\\\s]+)\1\s*:\s*(?:\1|(?=[-\d]))/g;
const NUMBER = /[-+.\deE]+/y;

/** Leaves out the values of secret names in JSON, whole or in pieces. */
function withoutMembers(text: string): string {
  let hidesValue = false;
  return replaceValues(text, MEMBER, ([start, quote = "", name = ""], from) => {
    const end = () => (start.endsWith('"') ? quotedEnd(text, from, quote) : matchEnd(NUMBER, text, from));
    if (isSecretName(name) || (hidesValue && VALUE.test(name))) {
      hidesValue ||= ENTRY_NAME.test(name) && isSecretName(text.slice(from, end()));
      return end();
    }
    if (ENTRY_NAME.test(name)) hidesValue = isSecretName(text.slice(from, end()));
    return undefined;
  });
}

/** The beginning of `NAME=value`, `--name=value`; with a quote before it where the quotes are around all of it. */
const VARIABLE = /(?:(?<!\\)(\\*"))?(?<![\w.-])([\w.-]+)=/g;
/** A value: in quotes, or up to a blank, a quote, a semicolon, or a comma that a blank follows. */
const WORD = /(?:\(left out\)|\\*"[^"]*(?:"|$)|'[^']*(?:'|$))?(?:[^\s;,"'\\]|\\[\s\S]|,(?=\S))*/y;

function withoutVariables(text: string): string {
  return replaceValues(text, VARIABLE, ([, quote, name = ""], from) => {
    if (!isSecretName(name)) return undefined;
    return quote === undefined ? matchEnd(WORD, text, from) : quotedEnd(text, from, quote);
  });
}

/** Replaces what follows the matches up to the end that is returned for it; undefined: it stays, and is searched as well. */
function replaceValues(
  text: string,
  start: RegExp,
  endOf: (match: RegExpExecArray, from: number) => number | undefined,
): string {
  const search = new RegExp(start);
  let replaced = "";
  let done = 0;
  for (let match = search.exec(text); match !== null; match = search.exec(text)) {
    const from = search.lastIndex;
    const end = endOf(match, from);
    if (end === undefined) continue;
    replaced += `${text.slice(done, from)}${LEFT_OUT}`;
    search.lastIndex = end;
    done = end;
  }
  return replaced + text.slice(done);
}

/**
 * Returns where a quoted text ends; where it does not, the end of all. A quote of width n (a character with n - 1 backslashes before it) has
 * 2n - 1 of them inside of the text, and n for each backslash of the text.
 *
 * @param quote The quote with its backslashes.
 */
function quotedEnd(text: string, from: number, quote: string): number {
  const width = quote.length;
  let backslashes = 0;
  for (let at = from; at < text.length; at++) {
    const unit = text[at];
    if (unit === '"' && backslashes % (2 * width) === width - 1) return at - (width - 1);
    backslashes = unit === "\\" ? backslashes + 1 : 0;
  }
  return text.length;
}

/** @param pattern A sticky one that matches everywhere. */
function matchEnd(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  pattern.exec(text);
  return pattern.lastIndex;
}
