/** Parses `conditionsV4` and `conditionsV6` in the syntax of iptables, as far as it is known here; the rest is left to iptables. */
import { type Prefix, parseAddress, parsePrefix } from "../../ip/address.ts";
import type { Rule } from "../iptables/rule.ts";

type Conditions = Pick<Rule, "source" | "destination" | "inInterface" | "outInterface" | "words">;

/** Parses conditions. Addresses and interfaces, each at most once, are understood; with anything else all words are left to iptables. */
export function conditionsOf(words: readonly string[]): Conditions {
  const found: Conditions = {};
  for (let at = 0; at < words.length; ) {
    const not = words[at] === "!";
    const [option = "", value = ""] = words.slice(not ? at + 1 : at);
    const row = OPTIONS[option];
    const condition = row?.read(value);
    if (row === undefined || condition === undefined || row.key in found) return { words };
    Object.assign(found, { [row.key]: not ? { not: condition } : condition });
    at += not ? 3 : 2;
  }
  return found;
}

interface Option {
  key: keyof Conditions;
  /** Parses the option's value; undefined when it is not valid. */
  read(value: string): Prefix | string | undefined;
}

const interfaceName = (value: string) => (/^[^!-]/.test(value) ? value : undefined);

/** Parses an address, or a prefix whose length is a number. */
function prefix(value: string): Prefix | undefined {
  const address = parseAddress(value);
  return address === undefined ? parsePrefix(value) : { address, length: 8 * address.length };
}

const source: Option = { key: "source", read: prefix };
const destination: Option = { key: "destination", read: prefix };
const inInterface: Option = { key: "inInterface", read: interfaceName };
const outInterface: Option = { key: "outInterface", read: interfaceName };

const OPTIONS: Readonly<Record<string, Option>> = {
  "-s": source,
  "--source": source,
  "--src": source,
  "-d": destination,
  "--destination": destination,
  "--dst": destination,
  "-i": inInterface,
  "--in-interface": inInterface,
  "-o": outInterface,
  "--out-interface": outInterface,
};
