/** What may be secret in configurations, variables and messages, and must not get into a log or a report. Pure. */
import { isObject, type Json } from "./json.ts";

export const LEFT_OUT = "(left out)";

/** Names whose values are left out: `password`, `apiKey`, `CLIENT_SECRET`, `client-key-data`, `authToken`, `psk` … */
const SECRET_NAME =
  /pass(?:w(?:or)?d|phrase|code)|secret|token|credential|bearer|cookie|psk|(?:^|[-_.])(?:pwd|auth|authorization)(?:$|[-_.])|(?:api|private|access|client|signing|encryption|shared|secret|wg|account|auth)[-_.]?key|key[-_.]?(?:data|pem)|^key$/i;

export const isSecretName = (name: string): boolean => SECRET_NAME.test(name);

/** Returns the value with the values of secret names, and what looks like a secret in texts, left out. */
export function withoutSecrets(value: Json): Json {
  if (typeof value === "string") return textWithoutSecrets(value);
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      isSecretName(key) && item !== null && typeof item !== "boolean" ? LEFT_OUT : withoutSecrets(item),
    ]),
  );
}

/** Patterns, with what is put in their place. */
const PATTERNS: readonly (readonly [RegExp, string | ((...groups: string[]) => string)])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, LEFT_OUT],
  [/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, LEFT_OUT], // a JSON web token, as of service accounts
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${LEFT_OUT}`],
  [/(\w[\w+.-]*:\/\/)[^\s/@:"']*:[^\s/@"']*@/g, `$1${LEFT_OUT}@`], // https://user:password@host
  // "name": "value" in JSON, and in JSON that is a string of another one
  [
    /"([^"\\\s]+)"(\s*:\s*)"(?:[^"\\]|\\.)*"/g,
    (all, name, colon) => (isSecretName(name ?? "") ? `"${name}"${colon}"${LEFT_OUT}"` : (all ?? "")),
  ],
  [
    /\\"([^"\\\s]+)\\"(\s*:\s*)\\"(?:[^"\\]|\\\\\\.|\\[^"])*?\\"/g,
    (all, name, colon) => (isSecretName(name ?? "") ? `\\"${name}\\"${colon}\\"${LEFT_OUT}\\"` : (all ?? "")),
  ],
  // NAME=value, --name=value
  [
    /([\w.-]+)=("[^"]*"|'[^']*'|[^\s;,"'\\]+)/g,
    (all, name) => (isSecretName(name ?? "") ? `${name}=${LEFT_OUT}` : (all ?? "")),
  ],
];

/** Returns a text, as a message or a line of a file, without what looks like a secret. */
export function textWithoutSecrets(text: string): string {
  const args = text.includes("CNI_ARGS") ? withoutArguments(text) : text;
  return PATTERNS.reduce((rest, [pattern, by]) => rest.replace(pattern, by as string), args);
}

/** Leaves out the values of quoted CNI_ARGS: runtimes put into them what they like. */
const withoutArguments = (text: string): string =>
  text.replace(/"(?:[^"\\]|\\.)*"/g, (quoted) => quoted.replace(/=[^;"\\]+/g, `=${LEFT_OUT}`));
