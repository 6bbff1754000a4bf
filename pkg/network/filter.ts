/** The filters of `ls` and `prune`, as Docker has them: values of one key are alternatives, but labels must all be there. Pure. */
import { type CniError, invalidConf } from "../cni/error.ts";
import { nearest } from "../config/edit-distance.ts";
import { isPredefined, type NetworkDefinition } from "./definition.ts";

export type NetworkFilter = (network: NetworkDefinition, facts: FilterFacts) => boolean;

export interface FilterFacts {
  /** Reports whether a container is, or may be, in it; asked by few filters, since all attachments have to be read for it. */
  isUsed(): boolean;
  nowMs: number;
}

type Test = (network: NetworkDefinition, value: string, facts: FilterFacts) => boolean;

const hasLabel: Test = ({ labels }, text) => {
  const equals = text.indexOf("=");
  if (equals < 0) return Object.hasOwn(labels, text);
  return labels[text.slice(0, equals)] === text.slice(equals + 1);
};

/** Whether a text is the value, or fits it as a regular expression. */
const fits = (text: string, value: string): boolean => text === value || expressionOf(value).test(text);

const listTests = {
  driver: ({ driver }, value) => driver === value,
  id: ({ id }, value) => fits(id, value),
  label: hasLabel,
  name: ({ name }, value) => fits(name, value),
  scope: (_, value) => value === "local",
  type: (network, value) => isPredefined(network) === (value === "builtin"),
  dangling: (network, value, { isUsed }) => (isPredefined(network) || isUsed()) === !isTrue(value),
} as const satisfies Record<string, Test>;

const pruneTests = {
  label: hasLabel,
  "label!": (network, value, facts) => !hasLabel(network, value, facts),
  until: ({ created }, value, { nowMs }) => Date.parse(created) < momentOf(value, nowMs),
} as const satisfies Record<string, Test>;

/** Values of these keys must all fit; of others one is enough. */
const ALL_OF = ["label", "label!"];

const isTrue = (value: string): boolean => /^(1|true)$/i.test(value);

/** What values a key has, where not any text. */
const values: Readonly<Record<string, readonly string[]>> = {
  scope: ["local", "global", "swarm"],
  type: ["custom", "builtin"],
  dangling: ["true", "false", "1", "0"],
};

/** @param texts as KEY=VALUE. @throws CniError 7 */
export const parseListFilter = (texts: readonly string[]): NetworkFilter => parseFilter(texts, listTests);

/** @throws CniError 7 */
export const parsePruneFilter = (texts: readonly string[]): NetworkFilter => parseFilter(texts, pruneTests);

function parseFilter(texts: readonly string[], tests: Readonly<Record<string, Test>>): NetworkFilter {
  const wanted = new Map<string, string[]>();
  for (const text of texts) {
    const [key = "", value] = /^([^=]*?)=(.*)$/s.exec(text)?.slice(1) ?? [text];
    if (!Object.hasOwn(tests, key)) throw unknownKey(key, Object.keys(tests));
    const allowed = values[key];
    if (value === undefined || value === "" || (allowed !== undefined && !allowed.includes(value)))
      throw invalidConf(
        `invalid filter ${JSON.stringify(text)}`,
        allowed === undefined ? `write ${key}=VALUE` : `write ${key}= with one of ${allowed.join(", ")}`,
      );
    if (key === "until") momentOf(value, 0); // throws
    if (key === "id" || key === "name") expressionOf(value);
    wanted.set(key, [...(wanted.get(key) ?? []), value]);
  }
  return (network, facts) =>
    [...wanted].every(([key, list]) => {
      const isMet = (value: string): boolean => tests[key]?.(network, value, facts) === true;
      return ALL_OF.includes(key) ? list.every(isMet) : list.some(isMet);
    });
}

const unknownKey = (key: string, keys: readonly string[]): CniError => {
  const meant = nearest(key, keys);
  return invalidConf(
    `invalid filter ${JSON.stringify(key)}`,
    meant === undefined ? `use one of ${keys.join(", ")}` : `did you mean ${meant}?`,
  );
};

/** @throws CniError 7: it is no regular expression */
function expressionOf(value: string): RegExp {
  try {
    return new RegExp(value);
  } catch {
    throw invalidConf(
      `invalid filter ${JSON.stringify(value)}: it is no regular expression`,
      "write a part of the name or ID, or ^NAME$ for the whole",
    );
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** Returns the moment of `24h`, `1h30m`, `2026-01-31`, `2026-01-31T12:00:00Z`, or seconds since 1970. @throws CniError 7 */
function momentOf(text: string, nowMs: number): number {
  if (/^(\d+[hms])+$/.test(text)) {
    const parts = [...text.matchAll(/(\d+)([hms])/g)];
    return nowMs - parts.reduce((sum, [, count, unit = ""]) => sum + Number(count) * (UNITS_MS[unit] ?? 0), 0);
  }
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const moment = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(moment)) return moment;
  throw invalidConf(
    `invalid filter until=${text}`,
    "write an age, as 24h or 1h30m, or a moment, as 2026-01-31T12:00:00Z",
  );
}
