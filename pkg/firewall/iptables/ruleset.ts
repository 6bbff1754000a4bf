/** The content of iptables' chains and the changes to it, the same for both variants. */
import type { Address, Prefix } from "../../ip/address.ts";
import { type Negatable, unwrapNegation } from "../nftables/match.ts";
import type { CanonicalRule } from "./canonical.ts";
import { canonicalRule, sameRule } from "./canonical.ts";
import type { Chain, Rule } from "./rule.ts";

/** A table of one family. */
export type Table = Omit<Chain, "chain">;

/** A rule that is in a chain. */
export interface FoundRule {
  readonly chain: Chain;
  /** The rule's canonical form; undefined when it has a part that is not known here, so that it equals no other rule. */
  readonly canonicalForm: CanonicalRule | undefined;
  /** The message as the kernel sent it, cheaper to search than to decode; absent in the legacy variant. */
  readonly body?: Uint8Array;
  /** The rule's handle in the kernel; in the legacy variant its line of iptables-save. */
  readonly id: bigint | string;
  /** In the legacy variant, when an equal rule is before it: the rule's number in the chain, from 1. */
  readonly number?: number;
}

/** The present content of the tables. */
export interface View {
  /** Reports for each chain whether it exists. */
  present(chains: readonly Chain[]): boolean[];
  /**
   * Returns, in order, the rules that contain a text in their comment or target, or name an address without a mask; all rules when
   * `containing` is not given. Some may only look like it, so the caller has to check. Returns none when there is no such chain.
   */
  rules(chain: Chain, containing?: string | Address): FoundRule[];
  /**
   * Returns, in order, the rules of which a key is among the wanted ones, and those that have no body. Cheaper than `rules` where many are
   * looked for, one after the other.
   *
   * @param keysOf The keys in a rule's body, the same function each time.
   */
  rulesByKey<K>(chain: Chain, keysOf: (body: Uint8Array) => readonly K[], keys: ReadonlySet<K>): FoundRule[];
  /** Returns the rules of a chain that jump to another one. */
  jumps(from: Chain, to: string): FoundRule[];
  /** Returns the names of all chains of the table. */
  chains(table: Table): string[];
}

export type Change =
  | { make: Chain }
  /** Adds a rule at the end of its chain or at the beginning. */
  | { add: Rule; to: Chain; at: "first" | "last" }
  | { delete: FoundRule }
  /** Deletes a chain with its rules. */
  | { drop: Chain };

/** Rules that a chain has to have. Those that are nowhere in it are added behind or before its rules. */
export interface Wanted extends Chain {
  rules: readonly Rule[];
  at?: "first" | "last";
}

/** Returns the changes that add what is missing. A missing chain is created before its first rule. */
export function missing(view: View, wanted: readonly Wanted[]): Change[] {
  const made = new Set<string>();
  return wanted.flatMap((want): Change[] => {
    const chain: Chain = { family: want.family, table: want.table, chain: want.chain };
    const name = [chain.family, chain.table, chain.chain].join(" ");
    if (made.has(name)) return additions(chain, want.rules, want.at);
    const lost = notIn(view, chain, want.rules); // first: a chain with one of the rules need not be asked for
    if (view.present([chain])[0] === true) return additions(chain, lost, want.at);
    made.add(name);
    return [{ make: chain }, ...additions(chain, want.rules, want.at)];
  });
}

function notIn(view: View, chain: Chain, rules: readonly Rule[]): Rule[] {
  return rules.filter((rule) => {
    const found = view.rules(chain, heldBy(rule));
    if (found.length === 0) return true;
    const canonicalForm = canonicalRule(chain.family, rule);
    return !found.some((one) => sameRule(one.canonicalForm, canonicalForm));
  });
}

/** Returns a text or address that only few rules contain, so that few have to be decoded. */
function heldBy({ source, destination, target, matches = [] }: Rule): string | Address | undefined {
  if (typeof target === "object" && "jump" in target) return target.jump;
  return matches.find((match) => match.name === "comment")?.text ?? wholeAddress(source) ?? wholeAddress(destination);
}

function wholeAddress(is: Negatable<Prefix> | undefined): Address | undefined {
  const { address, length } = is === undefined ? NO_PREFIX : unwrapNegation(is).value;
  return length > 0 && length === 8 * address.length ? address : undefined;
}
const NO_PREFIX: Prefix = { address: new Uint8Array(), length: 0 };

/** Returns the changes that add the rules. With "first", each is inserted before the previous one, so the order is reversed. */
function additions(to: Chain, rules: readonly Rule[], at: "first" | "last" = "last"): Change[] {
  const changes = rules.map((add): Change => ({ add, to, at }));
  return at === "first" ? changes.reverse() : changes;
}

/** Returns the changes for empty tables. */
export function allOf(wanted: readonly Wanted[]): Change[] {
  return missing(
    { present: () => [], rules: () => [], rulesByKey: () => [], jumps: () => [], chains: () => [] },
    wanted,
  );
}
